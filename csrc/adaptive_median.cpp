#include "adaptive_median.hpp"

#include <cstdint>
#include <vector>

namespace mcalc {
namespace {

// Collects the pixels of a window that grows ring by ring around one pixel.
template <typename Pixel>
class GrowingWindow {
public:
    GrowingWindow(const ImageView<Pixel>& image, int max_window) : image_(image) {
        pixels_.reserve(static_cast<std::size_t>(max_window) * max_window);
    }

    void restart(ptrdiff_t row, ptrdiff_t column) {
        row_ = row;
        column_ = column;
        radius_ = 0;
        minimum_ = maximum_ = image_.at(row, column);
        pixels_.assign(1, minimum_);
    }

    void grow() {
        ++radius_;
        for (ptrdiff_t offset = -radius_; offset <= radius_; ++offset) {
            add(row_ - radius_, column_ + offset);
            add(row_ + radius_, column_ + offset);
        }
        for (ptrdiff_t offset = -radius_ + 1; offset < radius_; ++offset) {
            add(row_ + offset, column_ - radius_);
            add(row_ + offset, column_ + radius_);
        }
    }

    Pixel median() {
        const auto middle = pixels_.begin() + pixels_.size() / 2;  // the count is always odd
        std::nth_element(pixels_.begin(), middle, pixels_.end());
        return *middle;
    }

    int size() const { return static_cast<int>(2 * radius_ + 1); }
    bool holds_strictly_inside(Pixel value) const { return minimum_ < value && value < maximum_; }

private:
    void add(ptrdiff_t row, ptrdiff_t column) {
        const Pixel value = image_.at_replicated(row, column);
        minimum_ = std::min(minimum_, value);
        maximum_ = std::max(maximum_, value);
        pixels_.push_back(value);
    }

    const ImageView<Pixel>& image_;
    std::vector<Pixel> pixels_;
    ptrdiff_t row_ = 0, column_ = 0, radius_ = 0;
    Pixel minimum_ = 0, maximum_ = 0;
};

template <typename Pixel>
Pixel filtered_pixel(GrowingWindow<Pixel>& window, Pixel value, int max_window) {
    Pixel median = value;
    while (window.size() < max_window) {
        window.grow();
        median = window.median();
        if (window.holds_strictly_inside(median))
            return window.holds_strictly_inside(value) ? value : median;
    }
    return median;
}

}  // namespace

template <typename Pixel>
void adaptive_median(const ImageView<Pixel>& image, int max_window, Pixel* output) {
    GrowingWindow<Pixel> window(image, max_window);
    for (ptrdiff_t row = 0; row < image.rows; ++row) {
        for (ptrdiff_t column = 0; column < image.columns; ++column) {
            window.restart(row, column);
            *output++ = filtered_pixel(window, image.at(row, column), max_window);
        }
    }
}

template void adaptive_median(const ImageView<std::uint8_t>&, int, std::uint8_t*);
template void adaptive_median(const ImageView<std::uint16_t>&, int, std::uint16_t*);

}  // namespace mcalc
