// Finding where all windows fail because one value fills them. Compiled once for each path.
#pragma once

#include "lanes.hpp"
#include "rows.hpp"

namespace mcalc::MCALC_PATH {

constexpr int kSpan = 8 * kBlock;  // columns that are counted together at most

// Clears the marks in `failed` of those of `columns` pixels from `column` on in whose windows of
// all sides from 3 up `value` is both the median and the minimum or maximum: these fail stage A in
// every window. `value` fills more than half of each of them, which counting shows, and it is an
// extreme of the largest. `Working` must be able to count the pixels of a window.
template <int Radius, typename Working, typename Rows>
void settle_flat(const Rows& rows, ptrdiff_t column, int columns, Working value, Working* failed) {
    const int radius =
        Radius > 0 ? Radius : rows.radius();  // known to the compiler where it counts
    using V = Lanes<Working>;
    constexpr int kStep = kLanes<Working>;
    constexpr int kMargin = kStep > kLargestRadius ? kStep : kLargestRadius + 1;
    constexpr int kWidth = kSpan + 2 * kMargin;
    alignas(64) Working count[kLargestRadius + 1][kWidth], minimum[kWidth], maximum[kWidth];
    const V sought = everywhere(value);
    const bool is_extreme = value == 0 || value == static_cast<Working>(~0);

    // What stands above each other in the windows: counts for each radius, extremes for the
    // largest.
    const int begin = kMargin - (radius + kStep - 1) / kStep * kStep;
    const int end = columns + 2 * kMargin - begin;
    const auto pixels = [&](int offset, int i) {
        return load(rows.pixels(offset) + column - kMargin + i);
    };
    for (int i = begin; i < end; i += kStep) {
        V sum = static_cast<V>(-equal(pixels(0, i), sought));
        for (int reach = 1; reach <= radius; ++reach) {
            sum = static_cast<V>(sum - equal(pixels(-reach, i), sought) -
                                 equal(pixels(reach, i), sought));
            store(count[reach] + i, sum);
        }
    }
    for (int i = begin; !is_extreme && i < end; i += kStep) {
        V smallest = sought, largest = sought;
        for (int offset = -radius; offset <= radius; ++offset) {
            smallest = lower(smallest, pixels(offset, i));
            largest = higher(largest, pixels(offset, i));
        }
        store(minimum + i, smallest);
        store(maximum + i, largest);
    }

    // And then side by side.
    for (int i = 0; i < columns; i += kStep) {
        V settled = load(failed + i);
        for (int reach = 1; reach <= radius; ++reach) {
            const Working* centre = count[reach] + kMargin + i;
            V sum = load(centre);
            for (int k = 1; k <= reach; ++k)
                sum = static_cast<V>(sum + load(centre - k) + load(centre + k));
            const int pixels = (2 * reach + 1) * (2 * reach + 1);
            settled &= at_least(sum, everywhere(static_cast<Working>(pixels / 2 + 1)));
        }
        if (!is_extreme) {
            V smallest = sought, largest = sought;
            for (int k = kMargin + i - radius; k <= kMargin + i + radius; ++k) {
                smallest = lower(smallest, load(minimum + k));
                largest = higher(largest, load(maximum + k));
            }
            settled &= equal(smallest, sought) | equal(largest, sought);
        }
        store(failed + i, static_cast<V>(load(failed + i) & ~settled));
    }
}

}  // namespace mcalc::MCALC_PATH
