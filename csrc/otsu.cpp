#include "otsu.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace mcalc {
namespace {

using Counts = std::vector<std::uint64_t>;

// Counts the pixels of each value. Adding to a count just written costs a wait, which equal
// neighbours would meet at every pixel: so they are counted in tables of their own.
template <typename Pixel, typename Counter>
class Histogram {
public:
    explicit Histogram(ptrdiff_t pixels)
        : tables_(sizeof(Pixel) == 1      ? 8
                  : pixels >= kManyPixels ? 2
                                          : 1),
          counts_(tables_ * kValues, 0) {}

    void add_row(const char* row, ptrdiff_t columns, ptrdiff_t step) {
        ptrdiff_t column = 0;
        if (step == sizeof(Pixel)) {
            for (; column + kPixelsAWord <= columns; column += kPixelsAWord)
                add_word(row + column * step);
        }
        for (; column < columns; ++column) {
            Pixel pixel;
            std::memcpy(&pixel, row + column * step, sizeof pixel);
            ++counts_[pixel];
        }
    }

    Counts counts() const {
        Counts sums(kValues, 0);
        for (const Counter* table = counts_.data(); table < counts_.data() + counts_.size();
             table += kValues)
            for (std::size_t value = 0; value < kValues; ++value) sums[value] += table[value];
        return sums;
    }

private:
    static constexpr ptrdiff_t kPixelsAWord = 8 / sizeof(Pixel);
    static constexpr std::size_t kValues = std::size_t{std::numeric_limits<Pixel>::max()} + 1;
    static constexpr ptrdiff_t kManyPixels = 1 << 19;  // make up for clearing large tables

    void add_word(const char* place) {
        std::uint64_t word;
        std::memcpy(&word, place, sizeof word);
        constexpr int kBits = 8 * sizeof(Pixel);
        Counter* counts = counts_.data();
        const std::size_t tables = sizeof(Pixel) == 1 ? 8 : tables_;
        for (std::size_t i = 0; i < std::size_t{kPixelsAWord}; ++i)
            ++counts[(i & (tables - 1)) * kValues + static_cast<Pixel>(word >> (kBits * i))];
    }

    const std::size_t tables_;  // a power of two
    std::vector<Counter> counts_;
};

template <typename Counter, typename Pixel>
Counts histogram(const ImageView<Pixel>& image) {
    Histogram<Pixel, Counter> histogram(image.rows * image.columns);
    for (ptrdiff_t row = 0; row < image.rows; ++row)
        histogram.add_row(image.data + row * image.row_stride, image.columns, image.column_stride);
    return histogram.counts();
}

}  // namespace

template <typename Pixel>
Pixel otsu_threshold(const ImageView<Pixel>& image, Pixel lowest) {
    const Counts counts = image.rows * image.columns <= std::numeric_limits<std::uint32_t>::max()
                              ? histogram<std::uint32_t>(image)
                              : histogram<std::uint64_t>(image);
    std::size_t darkest = lowest;
    while (darkest < counts.size() && counts[darkest] == 0) ++darkest;
    std::uint64_t pixels = 0, sum = 0;  // of what the pixels are brighter than the darkest
    for (std::size_t value = darkest; value < counts.size(); ++value) {
        pixels += counts[value];
        sum += (value - darkest) * counts[value];
    }
    if (pixels == 0) return 0;
    const double mean = static_cast<double>(sum) / static_cast<double>(pixels);
    std::uint64_t dark_pixels = 0, dark_sum = 0;
    double best_variance = 0;
    std::size_t best = darkest;
    for (std::size_t value = darkest; value < counts.size(); ++value) {
        if (counts[value] == 0) continue;  // the same two classes as before
        dark_pixels += counts[value];
        dark_sum += (value - darkest) * counts[value];
        if (dark_pixels == pixels) break;  // nothing lies above the brightest value
        const auto dark = static_cast<double>(dark_pixels);
        const double lacking = mean * dark - static_cast<double>(dark_sum);
        const double variance =
            lacking * lacking / (dark * static_cast<double>(pixels - dark_pixels));
        // Equally good thresholds may differ in the last digits: the smallest of them is kept.
        if (variance > best_variance * (1 + 1e-12)) {
            best_variance = variance;
            best = value;
        }
    }
    return static_cast<Pixel>(best);
}

template std::uint8_t otsu_threshold(const ImageView<std::uint8_t>&, std::uint8_t);
template std::uint16_t otsu_threshold(const ImageView<std::uint16_t>&, std::uint16_t);

}  // namespace mcalc
