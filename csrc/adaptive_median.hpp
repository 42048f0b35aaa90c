// The adaptive median filter of Gonzalez & Woods, Digital Image Processing, section 5.3.3.
//
// Around each pixel a square window grows from 3 x 3 until its median lies strictly between its
// minimum and its maximum (stage A). Then the pixel is kept when it, too, lies strictly between
// them, and replaced by the median otherwise (stage B). Where no window up to `max_window` passes
// stage A, the median of the largest window is the result.
//
// Compiled once for each path. All pixels of a row go through the 3 x 3 window, many at a time, and
// those that fail are marked. What follows depends on how many marks a block of columns has: a few
// are collected and filtered together (sparse_windows.hpp); many are first looked at as flat
// ground, where every window fails (flat_ground.hpp); what remains sends the whole block through
// the next larger window. Above 9 x 9 each window grows alone (growing_window.hpp).
#pragma once

#include <cstdint>
#include <type_traits>

#include "flat_ground.hpp"
#include "growing_window.hpp"
#include "lanes.hpp"
#include "rows.hpp"
#include "selection.hpp"
#include "sorted_rows.hpp"
#include "sparse_windows.hpp"
#include "stages.hpp"

namespace mcalc::MCALC_PATH {

template <typename Working, typename Pixel>
class AdaptiveMedian {
public:
    AdaptiveMedian(const ImageView<Pixel>& image, int max_window, ptrdiff_t first_row)
        : max_window_(max_window),
          columns_(image.columns),
          rows_(image, max_window / 2, first_row),
          failed_(rows_.blocks() * kBlock),
          states_(rows_.blocks()),
          sparse_(max_window),
          sorted3_(rows_.blocks()),
          sorted5_(max_window >= 5 ? rows_.blocks() : 0),
          sorted7_(max_window >= 7 ? rows_.blocks() : 0),
          sorted9_(max_window >= 9 ? rows_.blocks() : 0) {
        fill<State>(states_.get(), rows_.blocks(), {});
    }

    // Filters a row into `output`. Rows must be visited one after the other; some of their pixels
    // are written only by `finish`.
    void filter(ptrdiff_t row, Pixel* output) {
        output_ = output;
        rows_.move_to(row);
        ptrdiff_t settled_end = 0;
        for (ptrdiff_t block = 0; block < rows_.blocks(); ++block) {
            rows_.prefetch(block);
            if (!rows_.is_last(row))
                prefetch<true>(output + columns_ + block * kBlock, kBlock * sizeof(Pixel));
            State& state = states_.get()[block];
            if (state.was_flat && block >= settled_end) settled_end = settle_what_was_flat(block);
            if (max_window_ == 1 || rows_.is_flat(block)) {
                write(rows_.pixels(0) + block * kBlock, block);
                state.marks = 0;
            } else if (block >= settled_end) {
                state = {};
                next_window<3, true>(sorted3_, block);
            } else if (state.marks != 0) {
                next_window(sorted3_, block);
            } else {
                alignas(64) Working value[kBlock];
                fill(value, kBlock, state.value);
                write(value, block);
            }
        }
        for (ptrdiff_t block = 0; max_window_ > 3 && block < rows_.blocks(); ++block)
            if (states_.get()[block].marks != 0) larger_windows(block);
    }

    void finish() { sparse_.flush(); }

private:
    using V = Lanes<Working>;
    using Rows = RowWindow<Working, Pixel>;
    using Sparse = SparseWindows<Working, Pixel>;
    // How many marks of a block are worth looking for flat ground, a block's 5 x 5, its 7 x 7
    // windows (measured), and how many settled at once make it worth trying first a row below.
    static constexpr int kWorthSettling = 16, kWorthFive = 6, kWorthSeven = 8, kMostlyFlat = 48;

    struct State {
        std::uint64_t marks = 0;  // the pixels of the block that failed all windows so far
        Working value = 0;        // with which its flat ground was sought, in this row or the last
        bool sought = false;      // in this row
        bool was_flat = false;    // most of the block, in this row or the last
    };

    Working* failed(ptrdiff_t block) { return failed_.get() + block * kBlock; }
    Pixel* output(ptrdiff_t block) { return output_ + block * kBlock; }

    int width(ptrdiff_t block) const {
        const ptrdiff_t columns = columns_ - block * kBlock;
        return columns < kBlock ? static_cast<int>(columns) : kBlock;
    }

    void write(const Working* filtered, ptrdiff_t block) {
        if (width(block) == kBlock)
            copy(filtered, kBlock, output(block));
        else
            copy(filtered, width(block), output(block));
    }

    void read_marks(ptrdiff_t block) {
        V united{};
        for (int i = 0; i < kBlock; i += kLanes<Working>) united |= load(failed(block) + i);
        states_.get()[block].marks = 0;
        if (!any(united)) return;
        const std::uint64_t beyond = width(block) == kBlock ? 0 : ~std::uint64_t{0} << width(block);
        states_.get()[block].marks = mark_bits(failed(block)) & ~beyond;
    }

    // Filters the marked pixels of a block with a window of `Side`, and leaves marked those that
    // fail; at first all pixels count as marked.
    template <int Side, bool First = false>
    void next_window(SortedRows<Side, Working>& sorted, ptrdiff_t block) {
        sorted.move_to(rows_);
        const Working* rows[Side];
        for (int i = 0; i < Side; ++i) rows[i] = sorted.row(i, block);
        const Working* pixels = rows_.pixels(0) + block * kBlock;
        alignas(64) Working copied[kBlock];
        Working* filtered = copied;
        if constexpr (std::is_same_v<Working, Pixel>)
            if (width(block) == kBlock) filtered = output(block);
        if (Side > 3 && filtered == copied) copy(output(block), width(block), copied);
        for (int column = 0; column < kBlock; column += kLanes<Working>) {
            const auto window = statistics_of_sorted_rows<Side>(rows, column, kBlock);
            V result = replaced(window, load(pixels + column)), failing = fails(window);
            if (!First) {
                const V marked = load(failed(block) + column);
                failing &= marked;
                if (Side > 3) result = select(marked, result, load(filtered + column));
            }
            store(filtered + column, result);
            store(failed(block) + column, failing);
        }
        if (filtered == copied) write(copied, block);
        read_marks(block);
    }

    void larger_windows(ptrdiff_t block) {
        State& state = states_.get()[block];
        for (int tries = 0; tries < 2 && count_bits(state.marks) > kWorthSettling; ++tries)
            settle_what_seems_flat(block);
        if (max_window_ > Sparse::kLargest || count_bits(state.marks) > kWorthFive) {
            next_window(sorted5_, block);
            if (max_window_ == 5 || state.marks == 0) return;
            if (max_window_ > Sparse::kLargest || count_bits(state.marks) > kWorthSeven)
                next_window(sorted7_, block);
            else
                collect<7>(block);
            if (max_window_ >= 9 && state.marks != 0) next_window(sorted9_, block);
            if (max_window_ >= 11 && state.marks != 0) grow_each(block);
        } else {
            collect<5>(block);
        }
    }

    // Leaves the marked pixels of a block to be filtered with others, with a window of `Side` next.
    template <int Side>
    void collect(ptrdiff_t block) {
        for (std::uint64_t marks = states_.get()[block].marks; marks != 0; marks &= marks - 1) {
            const int i = first_bit(marks);
            sparse_.template add<Side>(rows_, block * kBlock + i, output(block) + i);
        }
    }

    // Settles flat ground of the value that `block` had in the row above, before any window is
    // looked at, and in the blocks after it that had the same. Returns where they end.
    ptrdiff_t settle_what_was_flat(ptrdiff_t block) {
        const State* states = states_.get();
        ptrdiff_t end = block;
        while (end < rows_.blocks() && end - block < kSpan / kBlock && states[end].was_flat &&
               states[end].value == states[block].value && !rows_.is_flat(end))
            ++end;
        fill<Working>(failed(block), (end - block) * kBlock, static_cast<Working>(~0));
        for (ptrdiff_t i = block; i < end; ++i) states_.get()[i].marks = ~std::uint64_t{0};
        if (end > block) settle(block, end, states[block].value);
        return end;
    }

    // The same for the median around the first marked pixel of `block`, after 3 x 3 windows.
    void settle_what_seems_flat(ptrdiff_t block) {
        const State* states = states_.get();
        const auto median = [&](ptrdiff_t i) { return output(i)[first_bit(states[i].marks)]; };
        if (states[block].sought && states[block].value == median(block)) return;
        ptrdiff_t end = block + 1;
        while (end < rows_.blocks() && end - block < kSpan / kBlock && states[end].marks != 0 &&
               !states[end].sought && median(end) == median(block))
            ++end;
        settle(block, end, median(block));
    }

    void settle(ptrdiff_t block, ptrdiff_t end, Working value) {
        const int columns = static_cast<int>(end - block) * kBlock;
        if (max_window_ == 7)
            settle_flat<3>(rows_, block * kBlock, columns, value, failed(block));
        else
            settle_flat<0>(rows_, block * kBlock, columns, value, failed(block));
        for (; block < end; ++block) {
            State& state = states_.get()[block];
            const int marks_before = count_bits(state.marks);
            read_marks(block);
            const bool was_flat = marks_before - count_bits(state.marks) >= kMostlyFlat;
            state = {state.marks, value, true, was_flat};
        }
    }

    void grow_each(ptrdiff_t block) {
        for (std::uint64_t marks = states_.get()[block].marks; marks != 0; marks &= marks - 1) {
            const int i = first_bit(marks);
            GrowingWindow<Rows, Working> window(rows_, block * kBlock + i);
            do {
                window.grow();
            } while (window.side() < max_window_ && !window.passes());
            output(block)[i] = static_cast<Pixel>(window.result());
        }
    }

    const int max_window_;
    const ptrdiff_t columns_;
    Rows rows_;
    Pixel* output_ = nullptr;  // the current row's
    Buffer<Working> failed_;   // the marks, as lanes
    Buffer<State> states_;     // of the blocks
    Sparse sparse_;
    SortedRows<3, Working> sorted3_;
    SortedRows<5, Working> sorted5_;
    SortedRows<7, Working> sorted7_;
    SortedRows<9, Working> sorted9_;
};

}  // namespace mcalc::MCALC_PATH
