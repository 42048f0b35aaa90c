// The filters, compiled for several instruction sets, and the choice between them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image_view.hpp"

namespace mcalc {

struct RowRange {
    ptrdiff_t first, end;
};

// Filters on a range of rows; `output` is the whole image's, rows x columns, C-contiguous, not
// overlapping the input. Windows are odd, from 1 to 31.
template <typename Pixel>
struct RowFilters {
    using Filter = void (*)(const ImageView<Pixel>&, int window, const RowRange&, Pixel* output);
    Filter adaptive_median;
    Filter median;
};

struct Path {
    const char* name;
    bool (*is_supported)();
    RowFilters<std::uint8_t> of_uint8;
    RowFilters<std::uint16_t> of_uint16;
};

extern const Path kScalar, kBaseline, kAvx2;

// The names of the paths that this machine can run, best first.
std::vector<std::string> supported_paths();

// The best path of this machine, or the one that the environment variable MCALC_INSTRUCTIONS names.
// Throws std::invalid_argument where that is none that this machine can run.
const Path& chosen_path();

}  // namespace mcalc
