// The only file that knows Python: checks what comes in, releases the GIL, calls the algorithms.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>

#include "adaptive_median.hpp"
#include "otsu.hpp"

namespace py = pybind11;

namespace {

constexpr int kLargestWindow = 31;

template <typename Pixel>
mcalc::ImageView<Pixel> view_of(const py::array& image) {
    return {static_cast<const char*>(image.data()), image.shape(0), image.shape(1),
            image.strides(0), image.strides(1)};
}

void check_image(const py::array& image) {
    if (image.ndim() != 2)
        throw py::value_error("image has " + std::to_string(image.ndim()) +
                              " dimensions; give a 2-D grey image.");
    if (image.size() == 0) throw py::value_error("image has no pixel.");
}

// Calls `algorithm` with a value of the pixel type of `image`.
template <typename Algorithm>
auto for_pixel_type(const py::array& image, Algorithm algorithm) {
    check_image(image);
    if (py::isinstance<py::array_t<std::uint8_t>>(image)) return algorithm(std::uint8_t{});
    if (py::isinstance<py::array_t<std::uint16_t>>(image)) return algorithm(std::uint16_t{});
    throw py::type_error("image is of type " + py::str(image.dtype()).cast<std::string>() +
                         "; give uint8 or uint16.");
}

py::array adaptive_median(const py::array& image, int max_window) {
    if (max_window < 1 || max_window > kLargestWindow || max_window % 2 == 0)
        throw py::value_error("max_window is " + std::to_string(max_window) +
                              "; give an odd number from 1 to 31.");
    return for_pixel_type(image, [&](auto pixel) -> py::array {
        using Pixel = decltype(pixel);
        const auto view = view_of<Pixel>(image);
        py::array_t<Pixel> output({view.rows, view.columns});
        Pixel* pixels = output.mutable_data();
        {
            py::gil_scoped_release unlocked;  // no Python object is touched in here
            mcalc::adaptive_median(view, max_window, pixels);
        }
        return output;
    });
}

int otsu_threshold(const py::array& image) {
    return for_pixel_type(image, [&](auto pixel) -> int {
        const auto view = view_of<decltype(pixel)>(image);
        py::gil_scoped_release unlocked;
        return mcalc::otsu_threshold(view);
    });
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "The filters of mcalc that no library has, in C++.";
    module.attr("source_hash") = MCALC_SOURCE_HASH;
    module.def("adaptive_median", &adaptive_median, py::arg("image"), py::arg("max_window"),
               R"(Remove impulse noise with the adaptive median filter.

Around each pixel a square window grows from 3 x 3 until its median lies strictly between
its minimum and its maximum; the pixel is then kept if it, too, lies strictly between them,
and replaced by the median otherwise. Where no window up to `max_window` does, the result is
the median of the largest. Outside the image the nearest border pixel is repeated.

Parameters
----------
image : ndarray, shape (rows, columns), uint8 or uint16
    Any strides.
max_window : int
    Side of the largest window in pixels, odd, 1 to 31; 1 changes nothing.

Returns
-------
ndarray, shape (rows, columns), dtype of `image`

Raises
------
ValueError, TypeError
    If the image is not 2-D, empty or of another type, or `max_window` is even or out of range.

References
----------
R. C. Gonzalez, R. E. Woods, Digital Image Processing, 3rd ed., section 5.3.3.)");
    module.def("otsu_threshold", &otsu_threshold, py::arg("image"),
               R"(Return Otsu's threshold of a grey image, exact on all 256 or 65,536 levels.

Parameters
----------
image : ndarray, shape (rows, columns), uint8 or uint16
    Any strides.

Returns
-------
int
    The threshold t: pixels > t are foreground. The smallest t where several are equally good;
    the image's own value where it is constant (nothing is foreground).

Raises
------
ValueError, TypeError
    If the image is not 2-D, empty or of another type.

References
----------
N. Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9(1), 1979.)");
}
