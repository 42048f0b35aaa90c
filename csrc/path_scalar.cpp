// One pixel at a time: for compilers without vector types, and as the plainest meaning of the code.
#define MCALC_PATH scalar
#define MCALC_LANE_BYTES 1
#include "filter_rows.hpp"

namespace mcalc {

const Path kScalar{"scalar", [] { return true; }, scalar::kRowFilters<std::uint8_t>,
                   scalar::kRowFilters<std::uint16_t>};

}  // namespace mcalc
