// The windows of single pixels, collected until there are enough to be filtered side by side.
// Compiled once for each path.
#pragma once

#include <cstddef>
#include <cstdint>
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
        const int reach = max_window_ == 5 ? 2 : 3;
        take<Side>(output, [&](Batch& batch, int lane) {
            for (int offset = -reach; offset <= reach; ++offset)
                batch.write_row(offset + kLargest / 2, lane,
                                rows.pixels(offset) + column - kLargest / 2);
        });
    }

    // Filters what was collected. Pixels that fail the largest window, too, get its median.
    void flush() {
        if (next5_.count > 0) filter_batch<5>();
        if (next7_.count > 0) filter_batch<7>();
    }

private:
    using V = Lanes<Working>;
    using Words = Lanes<std::uint64_t>;
    static constexpr int kStep = kLanes<Working>;
    static constexpr int kRow = 8;  // pixels of a row: one more than needed, to be copied at once
    static constexpr int kWord = 8 / sizeof(Working);  // pixels that are moved together
    static constexpr int kGroups = kStep >= kWord ? kStep / kWord : 1;

    // As many windows as a vector has lanes. Of each row of theirs the words stand in the order in
    // which `columns` transposes them: those of each kWord-th window side by side.
    struct Batch {
        void write_row(int row, int lane, const Working* pixels) {
            for (int word = 0; word < kRow / kWord; ++word)
                std::memcpy(place(row, word, lane), pixels + word * kWord, 8);
        }

        void copy_window(int lane, const Batch& other, int other_lane) {
            for (int row = 0; row < kLargest; ++row)
                for (int word = 0; word < kRow / kWord; ++word)
                    std::memcpy(place(row, word, lane), other.place(row, word, other_lane), 8);
        }

        Working* place(int row, int word, int lane) {
            return words[row][word][lane % kWord * kGroups + lane / kWord];
        }
        const Working* place(int row, int word, int lane) const {
            return words[row][word][lane % kWord * kGroups + lane / kWord];
        }

        // Gives column k of a row, of all windows, to columns + k * kStep.
        void columns(int row, Working* columns) const {
            for (int word = 0; word < kRow / kWord; ++word, columns += kWord * kStep) {
                if constexpr (kStep >= kWord && kIsLittleEndian) {
                    Words lines[kWord];
                    for (int i = 0; i < kWord; ++i)
                        std::memcpy(&lines[i], words[row][word][i * kGroups], sizeof lines[i]);
                    transpose<kWord>(lines);
                    std::memcpy(columns, lines, sizeof lines);
                } else {
                    for (int lane = 0; lane < kStep; ++lane)
                        for (int k = 0; k < kWord; ++k)
                            columns[k * kStep + lane] = place(row, word, lane)[k];
                }
            }
        }

        int count = 0;
        Working words[kLargest][kRow / kWord][kWord * kGroups][kWord]{};
        Pixel* outputs[kStep];
    };

    template <int Side>
    Batch& batch() {
        return Side == 5 ? next5_ : next7_;
    }

    template <int Side, typename Write>
    void take(Pixel* output, const Write& write) {
        Batch& batch = this->batch<Side>();
        write(batch, batch.count);
        batch.outputs[batch.count++] = output;
        if (batch.count == kStep) filter_batch<Side>();
    }

    template <int Side>
    void filter_batch() {
        alignas(64) Working failed[kStep];
        Batch& batch = this->batch<Side>();
        filter<Side>(batch, failed);
        for (int lane = 0; Side < 7 && max_window_ >= 7 && lane < batch.count; ++lane) {
            if (!failed[lane]) continue;
            take<7>(batch.outputs[lane],
                    [&](Batch& next, int place) { next.copy_window(place, batch, lane); });
        }
        batch.count = 0;
    }

    // Filters a batch with a window of `Side`, and marks in `failed` the pixels that fail.
    template <int Side>
    void filter(const Batch& batch, Working* failed) {
        constexpr int kMargin = (kLargest - Side) / 2;
        alignas(64) Working columns[Side][kRow * kStep], result[kStep];
        for (int i = 0; i < Side; ++i) batch.columns(kMargin + i, columns[i]);
        const V pixel = load(columns[Side / 2] + kLargest / 2 * kStep);
        const Working* rows[Side];
        for (int i = 0; i < Side; ++i) {
            Working* row = columns[i] + kMargin * kStep;
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
