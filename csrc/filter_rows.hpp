// What a path offers: the filters on a range of an image's rows. Included by each path_*.cpp, which
// names the path and its vectors before.
#pragma once

#include <cstdint>

#include "adaptive_median.hpp"
#include "median.hpp"
#include "paths.hpp"

namespace mcalc::MCALC_PATH {

template <typename Filter, typename Pixel>
void filter_rows(Filter&& filter, const RowRange& rows, ptrdiff_t columns, Pixel* output) {
    for (ptrdiff_t row = rows.first; row < rows.end; ++row)
        filter.filter(row, output + row * columns);
    filter.finish();
}

template <typename Pixel>
void adaptive_median(const ImageView<Pixel>& image, int max_window, const RowRange& rows,
                     Pixel* output) {
    // Eight bits count the pixels of a window up to 15 x 15.
    if (sizeof(Pixel) == 1 && max_window > 15)
        filter_rows(AdaptiveMedian<std::uint16_t, Pixel>(image, max_window, rows.first), rows,
                    image.columns, output);
    else
        filter_rows(AdaptiveMedian<Pixel, Pixel>(image, max_window, rows.first), rows,
                    image.columns, output);
}

template <typename Pixel>
void median(const ImageView<Pixel>& image, int window, const RowRange& rows, Pixel* output) {
    const ptrdiff_t columns = image.columns;
    switch (window) {
        case 3:
            return filter_rows(NetworkMedian<3, Pixel>(image, rows.first), rows, columns, output);
        case 5:
            return filter_rows(NetworkMedian<5, Pixel>(image, rows.first), rows, columns, output);
        case 7:
            return filter_rows(NetworkMedian<7, Pixel>(image, rows.first), rows, columns, output);
        case 9:
            return filter_rows(NetworkMedian<9, Pixel>(image, rows.first), rows, columns, output);
        default:
            filter_rows(HistogramMedian<Pixel>(image, window, rows.first), rows, columns, output);
    }
}

template <typename Pixel>
constexpr RowFilters<Pixel> kRowFilters{&adaptive_median<Pixel>, &median<Pixel>};

}  // namespace mcalc::MCALC_PATH
