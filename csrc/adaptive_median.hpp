// The adaptive median filter of Gonzalez & Woods, Digital Image Processing, section 5.3.3.
#pragma once

#include "image_view.hpp"

namespace mcalc {

// Filters `image` into `output` (rows x columns, C-contiguous, not overlapping the input).
//
// Around each pixel a square window grows from 3 x 3 until its median lies strictly between its
// minimum and its maximum (stage A). Then the pixel is kept when it, too, lies strictly between
// them, and replaced by the median otherwise (stage B). Where no window up to `max_window` passes
// stage A, the median of the largest window is the result. `max_window` is odd; 1 changes nothing.
template <typename Pixel>
void adaptive_median(const ImageView<Pixel>& image, int max_window, Pixel* output);

}  // namespace mcalc
