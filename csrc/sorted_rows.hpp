// The sorted surroundings of each pixel within its row. Compiled once for each path.
#pragma once

#include <cstddef>

#include "lanes.hpp"
#include "rows.hpp"
#include "selection.hpp"

namespace mcalc::MCALC_PATH {

// For each pixel of a row the `Side` pixels around it in that row, sorted: done a block at a time
// when first asked for, and kept as long as the row is in a window of `Side` rows.
template <int Side, typename Working>
class SortedRows {
public:
    explicit SortedRows(ptrdiff_t blocks)
        : blocks_(blocks), sorted_(Side * Side * blocks * kBlock), row_in_(Side * blocks) {
        fill<ptrdiff_t>(row_in_.get(), Side * blocks, -1);
    }

    // Looks at the rows around the current one of `rows`.
    template <typename Rows>
    void move_to(const Rows& rows) {
        if (row_ == rows.row_at(0)) return;
        row_ = rows.row_at(0);
        for (int i = 0; i < Side; ++i) {
            const int offset = i - Side / 2;
            const ptrdiff_t slot = rows.row_at(offset) % Side;
            around_[i] = {rows.row_at(offset), rows.pixels(offset),
                          sorted_.get() + slot * Side * kBlock * blocks_,
                          row_in_.get() + slot * blocks_};
        }
    }

    // The sorted pixels of the i-th of the `Side` rows for the columns of `block`: the smallest
    // ones, then, kBlock on, the next larger ones, and so on.
    const Working* row(int i, ptrdiff_t block) {
        const Around& around = around_[i];
        Working* sorted = around.sorted + block * Side * kBlock;
        if (around.row_in[block] != around.row) {
            sort_block(around.pixels + block * kBlock, sorted);
            around.row_in[block] = around.row;
        }
        return sorted;
    }

private:
    struct Around {
        ptrdiff_t row;
        const Working* pixels;
        Working* sorted;
        ptrdiff_t* row_in;
    };

    void sort_block(const Working* pixels, Working* sorted) const {
        for (int column = 0; column < kBlock; column += kLanes<Working>) {
            Lanes<Working> values[Side];
            unrolled<Side>([&](auto k) MCALC_ALWAYS_INLINE {
                values[k] = load(pixels + column + k - Side / 2);
            });
            sort<Side>(values);
            unrolled<Side>([&](auto k) MCALC_ALWAYS_INLINE {
                store(sorted + k * kBlock + column, values[k]);
            });
        }
    }

    const ptrdiff_t blocks_;
    ptrdiff_t row_ = -1;
    Buffer<Working> sorted_;
    Buffer<ptrdiff_t> row_in_;  // which row a block of `sorted_` belongs to
    Around around_[Side];
};

}  // namespace mcalc::MCALC_PATH
