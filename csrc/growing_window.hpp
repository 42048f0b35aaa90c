// One pixel's window, growing ring by ring. Compiled once for each path.
#pragma once

#include <cstddef>

#include "rows.hpp"

namespace mcalc::MCALC_PATH {

// The `rank`-th smallest of `count` values, counted from 0; reorders them (Hoare's quickselect).
template <typename Value>
inline Value select_smallest(Value* values, int count, int rank) {
    int first = 0, last = count - 1;
    while (first < last) {
        const Value pivot = values[first + (last - first) / 2];
        int i = first, j = last;
        while (i <= j) {
            while (values[i] < pivot) ++i;
            while (pivot < values[j]) --j;
            if (i > j) break;
            const Value swapped = values[i];
            values[i++] = values[j];
            values[j--] = swapped;
        }
        if (rank <= j)
            last = j;
        else if (rank >= i)
            first = i;
        else
            break;
    }
    return values[rank];
}

template <typename Rows, typename Working>
class GrowingWindow {
public:
    GrowingWindow(const Rows& rows, ptrdiff_t column)
        : rows_(rows),
          column_(column),
          minimum_(rows.pixels(0)[column]),
          maximum_(minimum_),
          pixel_(minimum_) {}

    int side() const { return 2 * radius_ + 1; }

    void grow() {
        ++radius_;
        add(-radius_, -radius_, radius_, 1);
        for (int offset = 1 - radius_; offset < radius_; ++offset)
            add(offset, -radius_, radius_, 2 * radius_);
        add(radius_, -radius_, radius_, 1);
    }

    // Whether the median lies strictly between minimum and maximum.
    bool passes() const { return !minimum_is_median() && 2 * maxima_ < side() * side(); }

    // What the filter makes of the pixel once the window has stopped growing.
    Working result() const {
        if (!passes()) return minimum_is_median() ? minimum_ : maximum_;
        return minimum_ < pixel_ && pixel_ < maximum_ ? pixel_ : median();
    }

private:
    bool minimum_is_median() const { return 2 * minima_ > side() * side(); }

    void add(int offset, int from, int to, int step) {
        const Working* pixels = rows_.pixels(offset) + column_;
        for (int k = from; k <= to; k += step) {
            const Working pixel = pixels[k];
            if (pixel < minimum_) minimum_ = pixel, minima_ = 0;
            if (maximum_ < pixel) maximum_ = pixel, maxima_ = 0;
            minima_ += pixel == minimum_;
            maxima_ += pixel == maximum_;
        }
    }

    Working median() const {
        Working values[kLargestSide * kLargestSide];
        int count = 0;
        for (int offset = -radius_; offset <= radius_; ++offset)
            for (int k = -radius_; k <= radius_; ++k)
                values[count++] = rows_.pixels(offset)[column_ + k];
        return select_smallest(values, count, count / 2);
    }

    const Rows& rows_;
    const ptrdiff_t column_;
    int radius_ = 0, minima_ = 1, maxima_ = 1;  // how many pixels are the minimum, the maximum
    Working minimum_, maximum_;
    const Working pixel_;
};

}  // namespace mcalc::MCALC_PATH
