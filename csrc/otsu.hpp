// Otsu's threshold (IEEE Trans. SMC 9(1), 1979) over the full range of the pixel type.
#pragma once

#include "image_view.hpp"

namespace mcalc {

// Returns the value t for which the classes {pixel <= t} and {pixel > t} differ most (largest
// between-class variance); the smallest such t where several do. Pixels below `lowest` are left
// out. Where what remains has one value only, that value is returned, so that nothing lies above
// it; where nothing remains, 0. The image holds at least one pixel.
template <typename Pixel>
Pixel otsu_threshold(const ImageView<Pixel>& image, Pixel lowest);

}  // namespace mcalc
