// A read-only window on somebody else's two-dimensional pixels; knows nothing of Python.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace mcalc {

using std::ptrdiff_t;

template <typename Pixel>
struct ImageView {
    const char* data;         // the pixel at (0, 0)
    ptrdiff_t rows;
    ptrdiff_t columns;
    ptrdiff_t row_stride;     // bytes from one row to the next; may be negative
    ptrdiff_t column_stride;  // bytes from one column to the next; may be negative

    Pixel at(ptrdiff_t row, ptrdiff_t column) const {
        Pixel pixel;  // copied bytewise: a field of a structured array need not be aligned
        std::memcpy(&pixel, data + row * row_stride + column * column_stride, sizeof pixel);
        return pixel;
    }

    // Outside the image the nearest pixel of its border is repeated.
    Pixel at_replicated(ptrdiff_t row, ptrdiff_t column) const {
        return at(std::clamp<ptrdiff_t>(row, 0, rows - 1),
                  std::clamp<ptrdiff_t>(column, 0, columns - 1));
    }
};

}  // namespace mcalc
