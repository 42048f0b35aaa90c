// The windows of single pixels, collected until there are enough to be filtered side by side.
// Compiled once for each path.
#pragma once

#include <cstddef>
#include <cstring>

#include "lanes.hpp"
#include "rows.hpp"
#include "selection.hpp"
#include "stages.hpp"

namespace mcalc::MCALC_PATH {

// Where few pixels of a block fail, vectors filled with just these are cheaper than the block.
template <typename Working, typename Pixel>
class SparseWindows {
public:
    static constexpr int kLargest = 7;  // window that is collected

    explicit SparseWindows(int max_window) : max_window_(max_window) {}

    // Collects the window around a pixel that failed all below `Side` x `Side`, to be filtered into
    // `output`.
    template <int Side, typename Rows>
    void add(const Rows& rows, ptrdiff_t column, Pixel* output) {
        Batch& batch = Side == 5 ? next5_ : next7_;
        Working* window = batch.take(output);
        if (max_window_ == 5)
            copy<2>(rows, column, window);
        else
            copy<3>(rows, column, window);
        if (batch.count == kStep) filter_batch<Side>();
    }

    // Filters what was collected. Pixels that fail the largest window, too, get its median.
    void flush() {
        if (next5_.count > 0) filter_batch<5>();
        if (next7_.count > 0) filter_batch<7>();
    }

private:
    using V = Lanes<Working>;
    static constexpr int kStep = kLanes<Working>;
    static constexpr int kRow = 8;  // pixels of a row: one more than needed, to be copied at once

    struct Batch {
        Working* take(Pixel* output) {
            outputs[count] = output;
            return windows[count++];
        }
        int count = 0;
        Working windows[kStep][kLargest * kRow]{};
        Pixel* outputs[kStep];
    };

    template <int Radius, typename Rows>
    void copy(const Rows& rows, ptrdiff_t column, Working* window) {
        unrolled<2 * Radius + 1>([&](auto i) MCALC_ALWAYS_INLINE {
            constexpr int offset = i - Radius;
            std::memcpy(window + (offset + kLargest / 2) * kRow,
                        rows.pixels(offset) + column - kLargest / 2, kRow * sizeof(Working));
        });
    }

    template <int Side>
    void filter_batch() {
        alignas(64) Working failed[kStep];
        Batch& batch = Side == 5 ? next5_ : next7_;
        filter<Side>(batch, failed);
        for (int lane = 0; Side < 7 && max_window_ >= 7 && lane < batch.count; ++lane) {
            if (!failed[lane]) continue;
            std::memcpy(next7_.take(batch.outputs[lane]), batch.windows[lane],
                        sizeof batch.windows[lane]);
            if (next7_.count == kStep) filter_batch<7>();
        }
        batch.count = 0;
    }

    // Filters a batch with a window of `Side`, and marks in `failed` the pixels that fail.
    template <int Side>
    void filter(const Batch& batch, Working* failed) {
        alignas(64) Working sorted[Side * Side * kStep], result[kStep];
        constexpr int kMargin = (kLargest - Side) / 2;
        for (int lane = 0; lane < kStep; ++lane) {
            const Working* window = batch.windows[lane] + kMargin * kRow + kMargin;
            for (int i = 0; i < Side; ++i)
                for (int k = 0; k < Side; ++k)
                    sorted[(i * Side + k) * kStep + lane] = window[i * kRow + k];
        }
        const V pixel = load(sorted + Side * Side / 2 * kStep);
        const Working* rows[Side];
        for (int i = 0; i < Side; ++i) {
            Working* row = sorted + i * Side * kStep;
            V values[Side];
            unrolled<Side>([&](auto k) MCALC_ALWAYS_INLINE { values[k] = load(row + k * kStep); });
            sort<Side>(values);
            unrolled<Side>([&](auto k) MCALC_ALWAYS_INLINE { store(row + k * kStep, values[k]); });
            rows[i] = row;
        }
        const auto window = statistics_of_sorted_rows<Side>(rows, 0, kStep);
        store(result, replaced(window, pixel));
        store(failed, fails(window));
        for (int lane = 0; lane < batch.count; ++lane)
            *batch.outputs[lane] = static_cast<Pixel>(result[lane]);
    }

    const int max_window_;
    Batch next5_, next7_;  // the windows to be filtered with 5 x 5, with 7 x 7 next
};

}  // namespace mcalc::MCALC_PATH
