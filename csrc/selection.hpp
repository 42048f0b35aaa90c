// Sorting networks, and the median of a square window from them. Compiled once for each path.
//
// A network compares and exchanges at places fixed in advance, so it works on vectors of pixels as
// on single ones. The comparisons whose outcome nobody reads are dropped by the compiler.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "lanes.hpp"

namespace mcalc::MCALC_PATH {

// Calls body(0), body(1), ..., body(Count - 1) with indices known to the compiler.
template <int... Index, typename Body>
MCALC_ALWAYS_INLINE inline void unrolled(std::integer_sequence<int, Index...>, Body&& body) {
    (body(std::integral_constant<int, Index>{}), ...);
}

template <int Count, typename Body>
MCALC_ALWAYS_INLINE inline void unrolled(Body&& body) {
    unrolled(std::make_integer_sequence<int, Count>{}, body);
}

// Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M).
template <int Count>
struct MergeExchange {
    int first[Count * Count]{}, second[Count * Count]{}, pairs = 0;

    constexpr MergeExchange() {
        int top = 1;
        while (2 * top < Count) top *= 2;
        for (int p = top; p > 0; p /= 2) {
            int remainder = 0, distance = p;
            for (int q = top;; q /= 2) {
                for (int i = 0; i + distance < Count; ++i) {
                    if ((i & p) != remainder) continue;
                    first[pairs] = i;
                    second[pairs++] = i + distance;
                }
                if (q == p) break;
                distance = q - p;
                remainder = p;
            }
        }
    }
};

template <int Count, typename V>
MCALC_ALWAYS_INLINE inline void sort(V* values) {
    if constexpr (Count > 1) {
        constexpr MergeExchange<Count> network;
        unrolled<network.pairs>([&](auto pair) MCALC_ALWAYS_INLINE {
            V& a = values[network.first[pair]];
            V& b = values[network.second[pair]];
            const V low = lower(a, b);
            b = higher(a, b);
            a = low;
        });
    }
}

template <typename V>
struct WindowStatistics {
    V minimum, median, maximum;
};

// Which pixels of a sorted window may be its median.
//
// Let the pixels of a Side x Side window be sorted along its rows and then along its columns, both
// ascending: every pixel right of and below another is at least as large. Where an antidiagonal
// i + j = sum is sorted, too, its n-th largest pixel has above it whatever lies above any n pixels
// of that antidiagonal. If that is always more than half of the window, it is below the median; the
// other half follows by symmetry. (The tests prove the outcome: a network is right for all values
// when it is right for all windows of zeros and ones.)
template <int Side>
struct MedianCandidates {
    static constexpr int kMiddle = (Side * Side + 1) / 2;  // the median's rank, counted from 1
    static constexpr int kSums = 2 * Side - 1;

    static constexpr int first_row(int sum) { return sum < Side ? 0 : sum - Side + 1; }
    static constexpr int length(int sum) { return sum < Side ? sum + 1 : kSums - sum; }

    // The pixels that are above one or more of the `count` pixels of antidiagonal `sum` from `row`
    // on.
    static constexpr int above(int sum, int row, int count) {
        int pixels = (Side - row) * (Side - (sum - row));
        for (int next = row + 1; next < row + count; ++next) pixels += Side - next;
        return pixels;
    }

    // How many of the largest pixels of antidiagonal `sum` need not be below the median.
    static constexpr int not_too_small(int sum) {
        for (int count = 1; count <= length(sum); ++count) {
            int fewest = Side * Side;
            for (int row = first_row(sum); row + count <= first_row(sum) + length(sum); ++row)
                fewest = above(sum, row, count) < fewest ? above(sum, row, count) : fewest;
            if (fewest > kMiddle) return count - 1;
        }
        return length(sum);
    }

    // The places [begin, end) of the sorted antidiagonal `sum` where the median may be.
    static constexpr int begin(int sum) { return length(sum) - not_too_small(sum); }
    static constexpr int end(int sum) { return not_too_small(kSums - 1 - sum); }
    static constexpr int count(int sum) {
        return end(sum) > begin(sum) ? end(sum) - begin(sum) : 0;
    }
    static constexpr int count_before(int sum) {
        return sum == 0 ? 0 : count_before(sum - 1) + count(sum - 1);
    }
    static constexpr int kCount = count_before(kSums);
};

// Minimum, median and maximum of windows whose rows are sorted: the k-th smallest pixels of row i
// stand from rows[i] + k * stride + column on.
template <int Side, typename Pixel>
MCALC_ALWAYS_INLINE inline WindowStatistics<Lanes<Pixel>> statistics_of_sorted_rows(
    const Pixel* const (&rows)[Side], int column, ptrdiff_t stride) {
    using Candidates = MedianCandidates<Side>;
    using V = Lanes<Pixel>;
    V rank[Side][Side];
    unrolled<Side>([&](auto k) MCALC_ALWAYS_INLINE {
        unrolled<Side>(
            [&](auto i) MCALC_ALWAYS_INLINE { rank[k][i] = load(rows[i] + k * stride + column); });
        sort<Side>(rank[k]);
    });
    V candidates[Candidates::kCount];
    unrolled<Candidates::kSums>([&](auto sum) MCALC_ALWAYS_INLINE {
        if constexpr (Candidates::count(sum) > 0) {
            V antidiagonal[Candidates::length(sum)];
            unrolled<Candidates::length(sum)>([&](auto k) MCALC_ALWAYS_INLINE {
                constexpr int row = Candidates::first_row(sum) + k;
                antidiagonal[k] = rank[row][sum - row];
            });
            sort<Candidates::length(sum)>(antidiagonal);
            unrolled<Candidates::count(sum)>([&](auto k) MCALC_ALWAYS_INLINE {
                candidates[Candidates::count_before(sum) + k] =
                    antidiagonal[Candidates::begin(sum) + k];
            });
        }
    });
    sort<Candidates::kCount>(candidates);
    return {rank[0][0], candidates[Candidates::kCount / 2], rank[Side - 1][Side - 1]};
}

}  // namespace mcalc::MCALC_PATH
