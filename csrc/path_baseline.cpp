// Vectors that every machine of this architecture has: SSE2 on x86-64, NEON on aarch64.
#define MCALC_PATH baseline
#if defined(__GNUC__)
#define MCALC_LANE_BYTES 16
#else
#define MCALC_LANE_BYTES 1
#endif
#include "filter_rows.hpp"

namespace mcalc {

const Path kBaseline{"baseline", [] { return MCALC_LANE_BYTES > 1; },
                     baseline::kRowFilters<std::uint8_t>, baseline::kRowFilters<std::uint16_t>};

}  // namespace mcalc
