// The only file that knows Python: checks what comes in, releases the GIL, calls the algorithms.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "otsu.hpp"
#include "parallel.hpp"
#include "paths.hpp"

namespace py = pybind11;

namespace {

constexpr int kLargestWindow = 31;
constexpr std::ptrdiff_t kPixelsAPiece = 1 << 17;  // about 0.1 ms: a thread's start is paid back

template <typename Number>
void check_odd(const char* argument, Number window) {
    if (window < 1 || window > kLargestWindow || window % 2 == 0)
        throw py::value_error(std::string(argument) + " is " + std::to_string(window) +
                              "; give an odd number from 1 to 31.");
}

// Calls `algorithm` with a value of the pixel type of `image`.
template <typename Algorithm>
auto for_pixel_type(const py::array& image, Algorithm algorithm) {
    if (py::isinstance<py::array_t<std::uint8_t>>(image)) return algorithm(std::uint8_t{});
    if (py::isinstance<py::array_t<std::uint16_t>>(image)) return algorithm(std::uint16_t{});
    throw py::type_error("image is of type " + py::str(image.dtype()).cast<std::string>() +
                         "; give uint8 or uint16.");
}

// The image, or the first of a stack of them.
template <typename Pixel>
mcalc::ImageView<Pixel> view_of(const py::array& image) {
    const auto last = image.ndim() - 1;
    return {static_cast<const char*>(image.data()), image.shape(last - 1), image.shape(last),
            image.strides(last - 1), image.strides(last)};
}

// How many rows of a stack make one piece of work: whole small images, or a band of a large one.
std::ptrdiff_t rows_a_piece(std::ptrdiff_t rows, std::ptrdiff_t columns, int window, int threads) {
    if (threads == 1) return rows;
    if (rows * columns < 2 * kPixelsAPiece)
        return rows * std::max<std::ptrdiff_t>(1, kPixelsAPiece / (rows * columns));
    return std::min<std::ptrdiff_t>(rows,
                                    std::max<std::ptrdiff_t>(8 * window, kPixelsAPiece / columns));
}

template <typename Pixel>
py::array filtered(const py::array& image, int window, int threads,
                   typename mcalc::RowFilters<Pixel>::Filter filter) {
    const auto first = view_of<Pixel>(image);
    const std::ptrdiff_t images = image.ndim() == 3 ? image.shape(0) : 1;
    const std::ptrdiff_t image_stride = image.ndim() == 3 ? image.strides(0) : 0;
    const std::ptrdiff_t all_rows = images * first.rows;
    const std::ptrdiff_t rows = rows_a_piece(first.rows, first.columns, window, threads);
    py::array_t<Pixel> output(
        std::vector<py::ssize_t>(image.shape(), image.shape() + image.ndim()));
    Pixel* pixels = output.mutable_data();
    {
        const py::gil_scoped_release unlocked;  // no Python object is touched in here
        mcalc::in_parallel((all_rows + rows - 1) / rows, threads, [&](std::ptrdiff_t piece) {
            const std::ptrdiff_t end = std::min(all_rows, (piece + 1) * rows);
            for (std::ptrdiff_t row = piece * rows; row < end;) {
                const std::ptrdiff_t index = row / first.rows, top = index * first.rows;
                const mcalc::RowRange range{row - top, std::min(end - top, first.rows)};
                auto view = first;
                view.data += index * image_stride;
                filter(view, window, range, pixels + top * first.columns);
                row = top + range.end;
            }
        });
    }
    return output;
}

// Checks what all filters have in common, and calls that of the chosen path for the pixel type.
template <typename Choice>
py::array filter(const py::array& image, int window, int threads, Choice choice) {
    if (image.ndim() != 2 && image.ndim() != 3)
        throw py::value_error("image has " + std::to_string(image.ndim()) +
                              " dimensions; give a 2-D grey image or a 3-D stack of them.");
    if (view_of<char>(image).rows == 0 || view_of<char>(image).columns == 0)
        throw py::value_error("image has no pixel.");
    if (threads < 1)
        throw py::value_error("threads is " + std::to_string(threads) + "; give 1 or more.");
    return for_pixel_type(image, [&](auto pixel) {
        using Pixel = decltype(pixel);
        const mcalc::Path& path = mcalc::chosen_path();
        if constexpr (sizeof(Pixel) == 1)
            return filtered<Pixel>(image, window, threads, choice(path.of_uint8));
        else
            return filtered<Pixel>(image, window, threads, choice(path.of_uint16));
    });
}

py::array adaptive_median(const py::array& image, int max_window, int threads) {
    check_odd("max_window", max_window);
    return filter(image, max_window, threads,
                  [](const auto& filters) { return filters.adaptive_median; });
}

py::array median(const py::array& image, int window, int threads) {
    check_odd("window", window);
    return filter(image, window, threads, [](const auto& filters) { return filters.median; });
}

int otsu_threshold(const py::array& image, bool with_black) {
    if (image.ndim() != 2)
        throw py::value_error("image has " + std::to_string(image.ndim()) +
                              " dimensions; give a 2-D grey image.");
    if (image.size() == 0) throw py::value_error("image has no pixel.");
    return for_pixel_type(image, [&](auto pixel) -> int {
        using Pixel = decltype(pixel);
        const auto view = view_of<Pixel>(image);
        const py::gil_scoped_release unlocked;
        return mcalc::otsu_threshold(view, static_cast<Pixel>(with_black ? 0 : 1));
    });
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() =
        "The filters of mcalc that no library has, in C++. Call them through mcalc.images.filters, "
        "which documents them.";
    module.attr("source_hash") = MCALC_SOURCE_HASH;
    module.def("adaptive_median", &adaptive_median, py::arg("image"), py::arg("max_window"),
               py::arg("threads") = 1);
    module.def("median", &median, py::arg("image"), py::arg("window"), py::arg("threads") = 1);
    module.def("otsu_threshold", &otsu_threshold, py::arg("image"), py::arg("with_black") = true);
    module.def("instruction_paths", &mcalc::supported_paths);
}
