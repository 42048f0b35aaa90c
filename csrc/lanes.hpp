// Several pixels side by side, handled by one instruction. Compiled once for each path (paths.hpp).
//
// GCC and clang know vectors as types; other compilers get one pixel a vector, and the same code.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

// A network that is not inlined keeps the comparisons whose outcome nobody reads.
#if defined(__GNUC__)
#define MCALC_ALWAYS_INLINE __attribute__((always_inline))
#else
#define MCALC_ALWAYS_INLINE
#endif

namespace mcalc::MCALC_PATH {

#if MCALC_LANE_BYTES > 1
template <typename Pixel>
struct LanesOf {
    typedef Pixel type __attribute__((vector_size(MCALC_LANE_BYTES)));
};
#else
template <typename Pixel>
struct LanesOf {
    using type = Pixel;
};
#endif

template <typename Pixel>
using Lanes = typename LanesOf<Pixel>::type;

template <typename Pixel>
constexpr int kLanes = sizeof(Lanes<Pixel>) / sizeof(Pixel);

template <typename Pixel>
inline Lanes<Pixel> load(const Pixel* pixels) {
    Lanes<Pixel> lanes;
    std::memcpy(&lanes, pixels, sizeof lanes);
    return lanes;
}

template <typename Pixel>
inline void store(Pixel* pixels, Lanes<Pixel> lanes) {
    std::memcpy(pixels, &lanes, sizeof lanes);
}

template <typename Pixel>
inline Lanes<Pixel> everywhere(Pixel value) {
    return static_cast<Lanes<Pixel>>(Lanes<Pixel>{} + value);
}

template <typename V>
inline V lower(V a, V b) {
    return a < b ? a : b;
}

template <typename V>
inline V higher(V a, V b) {
    return a < b ? b : a;
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr bool kIsLittleEndian = true;
#else
constexpr bool kIsLittleEndian = false;
#endif

// Transposes a square of `Count` words of `Count` items each, by exchanging halves, quarters, and
// so on (H. S. Warren, Hacker's Delight, 2nd ed., section 7-3). An item is 8 or 16 bits.
template <int Count, typename Words>
inline void transpose(Words* words) {
    constexpr int kBits = 64 / Count;
    for (int half = Count / 2; half > 0; half /= 2) {
        std::uint64_t low = 0;  // the items in the lower halves
        for (int i = 0; i < Count; ++i)
            if ((i & half) == 0) low |= (~std::uint64_t{0} >> (64 - kBits)) << (i * kBits);
        for (int i = 0; i < Count; ++i) {
            if ((i & half) != 0) continue;
            const Words moved = ((words[i] >> (half * kBits)) ^ words[i + half]) & low;
            words[i + half] ^= moved;
            words[i] ^= moved << (half * kBits);
        }
    }
}

// All bits set in the lanes where a == b, none elsewhere.
template <typename V>
inline V equal(V a, V b) {
    if constexpr (std::is_integral_v<V>)
        return static_cast<V>(-(a == b));
    else
        return reinterpret_cast<V>(a == b);
}

template <typename V>
inline V at_least(V a, V b) {
    return equal(higher(a, b), a);
}

// Lanes of `yes` where `mask` has its bits set, of `no` elsewhere.
template <typename V>
inline V select(V mask, V yes, V no) {
    return static_cast<V>((yes & mask) | (no & ~mask));
}

// Whether any bit is set.
template <typename V>
inline bool any(V lanes) {
    if constexpr (std::is_integral_v<V>) {
        return lanes != 0;
    } else {
        std::uint64_t words[sizeof lanes / 8], united = 0;
        std::memcpy(words, &lanes, sizeof lanes);
        for (const std::uint64_t word : words) united |= word;
        return united != 0;
    }
}

// Asks the memory for what will soon be read or written there.
template <bool Write>
inline void prefetch([[maybe_unused]] const void* place, [[maybe_unused]] std::size_t bytes) {
#if defined(__GNUC__)
    for (std::size_t line = 0; line < bytes; line += 64)
        __builtin_prefetch(static_cast<const char*>(place) + line, Write);
#endif
}

constexpr int kBlock = 64;  // pixels that are looked at together; a multiple of all lane counts

// A bit for each pixel of a block that is marked. A mark has all bits of its pixel set, or none.
template <typename Pixel>
inline std::uint64_t mark_bits(const Pixel* marks) {
    std::uint64_t bits = 0;
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    // Eight bytes at once: one bit of each mark, moved to the top by a multiplication.
    constexpr int kMarks = 8 / sizeof(Pixel);
    constexpr std::uint64_t kOneEach = ~std::uint64_t{0} / static_cast<Pixel>(~0);
    constexpr std::uint64_t kMove = sizeof(Pixel) == 1 ? 0x0102040810204080 : 0x1000200040008;
    for (int i = 0; i < kBlock; i += kMarks) {
        std::uint64_t word;
        std::memcpy(&word, marks + i, sizeof word);
        const std::uint64_t moved = (word & kOneEach) * kMove >> (64 - 8 * sizeof(Pixel));
        bits |= (moved & ((1u << kMarks) - 1)) << i;
    }
#else
    for (int i = 0; i < kBlock; ++i) bits |= std::uint64_t{marks[i] != 0} << i;
#endif
    return bits;
}

inline int first_bit(std::uint64_t bits) {  // there must be one
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int i = 0;
    while (!(bits >> i & 1)) ++i;
    return i;
#endif
}

inline int count_bits(std::uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_popcountll(bits);
#else
    int count = 0;
    for (; bits != 0; bits &= bits - 1) ++count;
    return count;
#endif
}

}  // namespace mcalc::MCALC_PATH
