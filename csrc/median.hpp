// The median in a square window. Compiled once for each path.
//
// Up to 9 x 9 from sorting networks, many pixels at a time; above that from a histogram that slides
// along the row (Huang, Yang & Tang, IEEE Trans. ASSP 27(1), 1979), one pixel at a time.
#pragma once

#include <cstring>

#include "lanes.hpp"
#include "rows.hpp"
#include "selection.hpp"
#include "sorted_rows.hpp"

namespace mcalc::MCALC_PATH {

template <int Side, typename Pixel>
class NetworkMedian {
public:
    NetworkMedian(const ImageView<Pixel>& image, ptrdiff_t first_row)
        : columns_(image.columns), rows_(image, Side / 2, first_row), sorted_(rows_.blocks()) {}

    void filter(ptrdiff_t row, Pixel* output) {
        rows_.move_to(row);
        sorted_.move_to(rows_);
        for (ptrdiff_t block = 0; block < rows_.blocks(); ++block) {
            const ptrdiff_t wanted = columns_ - block * kBlock;
            if (wanted >= kBlock) {
                filter_block(block, output + block * kBlock);
            } else {
                Pixel last[kBlock];
                filter_block(block, last);
                std::memcpy(output + block * kBlock, last,
                            static_cast<std::size_t>(wanted) * sizeof(Pixel));
            }
        }
    }

    void finish() {}

private:
    void filter_block(ptrdiff_t block, Pixel* output) {
        const Pixel* rows[Side];
        for (int i = 0; i < Side; ++i) rows[i] = sorted_.row(i, block);
        for (int column = 0; column < kBlock; column += kLanes<Pixel>)
            store(output + column, statistics_of_sorted_rows<Side>(rows, column, kBlock).median);
    }

    const ptrdiff_t columns_;
    RowWindow<Pixel, Pixel> rows_;
    SortedRows<Side, Pixel> sorted_;
};

// Counts the pixels of a window by value, and by its upper half so that the median is found in a
// few steps wherever it moves.
template <typename Pixel>
class SlidingHistogram {
public:
    SlidingHistogram() : coarse_(kHalf), fine_(kHalf * kHalf) { clear(); }

    void clear() {
        std::memset(coarse_.get(), 0, kHalf * sizeof(int));
        std::memset(fine_.get(), 0, kHalf * kHalf * sizeof(short));
        coarse_value_ = below_ = 0;
    }

    void add(Pixel value, int count) {
        const int coarse = value / kHalf;
        coarse_.get()[coarse] += count;
        fine_.get()[value] = static_cast<short>(fine_.get()[value] + count);
        below_ += coarse < coarse_value_ ? count : 0;
    }

    // The `rank`-th smallest value, counted from 0.
    Pixel value_at(int rank) {
        const int* coarse = coarse_.get();
        while (below_ > rank) below_ -= coarse[--coarse_value_];
        while (below_ + coarse[coarse_value_] <= rank) below_ += coarse[coarse_value_++];
        const short* fine = fine_.get();
        int value = coarse_value_ * kHalf;
        for (int below = below_ + fine[value]; below <= rank; below += fine[value]) ++value;
        return static_cast<Pixel>(value);
    }

private:
    static constexpr int kHalf = sizeof(Pixel) == 1 ? 16 : 256;  // square root of the value count
    Buffer<int> coarse_;
    Buffer<short> fine_;
    int coarse_value_, below_;  // where the median was; how many pixels lie below that coarse value
};

template <typename Pixel>
class HistogramMedian {
public:
    HistogramMedian(const ImageView<Pixel>& image, int window, ptrdiff_t first_row)
        : columns_(image.columns), radius_(window / 2), rows_(image, radius_, first_row) {}

    void filter(ptrdiff_t row, Pixel* output) {
        rows_.move_to(row);
        histogram_.clear();
        for (int column = -radius_; column < radius_; ++column) add_column(column, 1);
        const int side = 2 * radius_ + 1;
        for (ptrdiff_t column = 0; column < columns_; ++column) {
            add_column(column + radius_, 1);
            output[column] = histogram_.value_at(side * side / 2);
            add_column(column - radius_, -1);
        }
    }

    void finish() {}

private:
    void add_column(ptrdiff_t column, int count) {
        for (int offset = -radius_; offset <= radius_; ++offset)
            histogram_.add(rows_.pixels(offset)[column], count);
    }

    const ptrdiff_t columns_;
    const int radius_;
    RowWindow<Pixel, Pixel> rows_;
    SlidingHistogram<Pixel> histogram_;
};

}  // namespace mcalc::MCALC_PATH
