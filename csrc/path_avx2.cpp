// Vectors of 32 bytes.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "paths.hpp"

#if defined(__GNUC__) && defined(__x86_64__)

// After the standard headers: their inline functions are shared with the rest of the program.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define MCALC_PATH avx2
#define MCALC_LANE_BYTES 32
#include "filter_rows.hpp"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace mcalc {

const Path kAvx2{"avx2", [] { return __builtin_cpu_supports("avx2") != 0; },
                 avx2::kRowFilters<std::uint8_t>, avx2::kRowFilters<std::uint16_t>};

}  // namespace mcalc

#else

namespace mcalc {

const Path kAvx2{"avx2", [] { return false; }, {}, {}};

}  // namespace mcalc

#endif
