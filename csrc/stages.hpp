// The two decisions of the adaptive median filter. Compiled once for each path.
#pragma once

#include "lanes.hpp"
#include "selection.hpp"

namespace mcalc::MCALC_PATH {

// Stage A fails: the median does not lie strictly between minimum and maximum.
template <typename V>
inline V fails(const WindowStatistics<V>& window) {
    return equal(window.median, window.minimum) | equal(window.median, window.maximum);
}

// Stage B: the pixel where it lies strictly between minimum and maximum, the median otherwise, and
// the median, too, where stage A fails.
template <typename V>
inline V replaced(const WindowStatistics<V>& window, V pixel) {
    const V impulse = equal(pixel, window.minimum) | equal(pixel, window.maximum);
    return select<V>(fails(window) | impulse, window.median, pixel);
}

}  // namespace mcalc::MCALC_PATH
