// Somebody else's two-dimensional pixels, read only; knows nothing of Python.
#pragma once

#include <cstddef>

namespace mcalc {

using std::ptrdiff_t;

// Plain data without functions: what is compiled once for each instruction path (paths.hpp) must
// not share an inline function with what is not.
template <typename Pixel>
struct ImageView {
    const char* data;  // the pixel at (0, 0); need not be aligned
    ptrdiff_t rows;
    ptrdiff_t columns;
    ptrdiff_t row_stride;     // bytes from one row to the next; may be negative
    ptrdiff_t column_stride;  // bytes from one column to the next; may be negative
};

}  // namespace mcalc
