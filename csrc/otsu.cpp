#include "otsu.hpp"

#include <cstdint>
#include <limits>
#include <vector>

namespace mcalc {
namespace {

template <typename Pixel>
std::vector<std::uint64_t> histogram(const ImageView<Pixel>& image) {
    std::vector<std::uint64_t> counts(std::size_t{std::numeric_limits<Pixel>::max()} + 1, 0);
    for (ptrdiff_t row = 0; row < image.rows; ++row)
        for (ptrdiff_t column = 0; column < image.columns; ++column)
            ++counts[image.at(row, column)];
    return counts;
}

}  // namespace

template <typename Pixel>
Pixel otsu_threshold(const ImageView<Pixel>& image) {
    const auto counts = histogram(image);
    std::uint64_t pixels = 0, sum = 0;
    for (std::size_t value = 0; value < counts.size(); ++value) {
        pixels += counts[value];
        sum += value * counts[value];
    }
    std::uint64_t dark_pixels = 0, dark_sum = 0;
    double best_variance = -1.0;
    Pixel best = image.at(0, 0);
    for (std::size_t value = 0; value < counts.size(); ++value) {
        if (counts[value] == 0) continue;  // the same two classes as before
        dark_pixels += counts[value];
        dark_sum += value * counts[value];
        if (dark_pixels == pixels) break;  // nothing lies above the brightest value
        const auto bright_pixels = static_cast<double>(pixels - dark_pixels);
        const double difference = static_cast<double>(sum - dark_sum) / bright_pixels -
                                  static_cast<double>(dark_sum) / static_cast<double>(dark_pixels);
        const double variance =
            static_cast<double>(dark_pixels) * bright_pixels * difference * difference;
        // Equally good thresholds may differ in the last digit: the smallest of them is kept.
        if (variance > best_variance * (1 + 1e-12)) {
            best_variance = variance;
            best = static_cast<Pixel>(value);
        }
    }
    return best;
}

template std::uint8_t otsu_threshold(const ImageView<std::uint8_t>&);
template std::uint16_t otsu_threshold(const ImageView<std::uint16_t>&);

}  // namespace mcalc
