// The rows around the one being filtered. Compiled once for each path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "image_view.hpp"
#include "lanes.hpp"

namespace mcalc::MCALC_PATH {

constexpr int kLargestRadius = 15;
constexpr int kLargestSide = 2 * kLargestRadius + 1;

inline ptrdiff_t clamp(ptrdiff_t value, ptrdiff_t smallest, ptrdiff_t largest) {
    return value < smallest ? smallest : value > largest ? largest : value;
}

// Copies `count` pixels, of a narrower or wider type where need be.
template <typename From, typename To>
inline void copy(const From* from, ptrdiff_t count, To* to) {
    if constexpr (sizeof(From) == sizeof(To))
        std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(To));
    else
        for (ptrdiff_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i]);
}

template <typename Pixel>
inline void fill(Pixel* pixels, ptrdiff_t count, Pixel value) {
    for (ptrdiff_t i = 0; i < count; ++i) pixels[i] = value;
}

// Aligned memory for `count` items, not initialised.
template <typename Item>
class Buffer {
public:
    explicit Buffer(ptrdiff_t count)
        : items_(static_cast<Item*>(
              ::operator new(static_cast<std::size_t>(count) * sizeof(Item), kAlignment))) {}
    ~Buffer() { ::operator delete(items_, kAlignment); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    Item* get() const { return items_; }

private:
    static constexpr std::align_val_t kAlignment{64};
    Item* items_;
};

// Keeps the rows within `radius` of the current one, each continued to both sides by repeating its
// first and its last pixel. `Working` may be a wider type than the image's `Pixel`.
template <typename Working, typename Pixel>
class RowWindow {
public:
    RowWindow(const ImageView<Pixel>& image, int radius, ptrdiff_t first_row)
        : image_(image),
          radius_(radius),
          blocks_((image.columns + kBlock - 1) / kBlock),
          slots_(2 * radius + 1),
          stride_((blocks_ + 2) * kBlock),
          first_row_(first_row),
          unread_(clamp(first_row - radius, 0, image.rows - 1)),
          pixels_(slots_ * stride_),
          flat_rows_(blocks_) {
        fill<ptrdiff_t>(flat_rows_.get(), blocks_, 0);
    }

    ptrdiff_t blocks() const { return blocks_; }
    bool is_last(ptrdiff_t row) const { return row == image_.rows - 1; }

    // The first row must be the one given at first, each following row the next.
    void move_to(ptrdiff_t row) {
        while (unread_ < image_.rows && unread_ <= row + radius_) read(unread_++);
        const int last = 2 * radius_;
        for (int i = 0; row > first_row_ && i < last; ++i) {
            row_at_[i] = row_at_[i + 1];
            pixels_at_[i] = pixels_at_[i + 1];
        }
        for (int i = row > first_row_ ? last : 0; i <= last; ++i) {
            row_at_[i] = clamp(row + i - radius_, 0, image_.rows - 1);
            pixels_at_[i] = pixels_of(row_at_[i]);
        }
    }
    // Asks the memory for a part of the row that will be read next.
    void prefetch(ptrdiff_t block) const {
        if (unread_ < image_.rows)
            mcalc::MCALC_PATH::prefetch<false>(
                image_.data + unread_ * image_.row_stride + block * kBlock * image_.column_stride,
                kBlock * sizeof(Pixel));
    }

    int radius() const { return radius_; }

    // Which row of the image stands `offset` rows below the current one: beyond the image's first
    // and last row these are repeated.
    ptrdiff_t row_at(int offset) const { return row_at_[radius_ + offset]; }

    // The pixel in column 0 of row `row_at(offset)`; columns from -kBlock on are there.
    const Working* pixels(int offset) const { return pixels_at_[radius_ + offset]; }

    // Whether all windows centred in `block` hold one value only.
    bool is_flat(ptrdiff_t block) const {
        return flat_rows_.get()[block] > row_at(radius_) - row_at(-radius_);
    }

private:
    Working* pixels_of(ptrdiff_t row) const {
        return pixels_.get() + row % slots_ * stride_ + kBlock;
    }

    void read(ptrdiff_t row) {
        Working* pixels = pixels_of(row);
        const ptrdiff_t columns = image_.columns, step = image_.column_stride;
        const char* source = image_.data + row * image_.row_stride;
        if (step == sizeof(Pixel) && sizeof(Pixel) == sizeof(Working)) {
            std::memcpy(pixels, source, static_cast<std::size_t>(columns) * sizeof(Pixel));
        } else {
            for (ptrdiff_t column = 0; column < columns; ++column) {
                Pixel pixel;  // copied bytewise: a field of a structured array need not be aligned
                std::memcpy(&pixel, source + column * step, sizeof pixel);
                pixels[column] = pixel;
            }
        }
        fill<Working>(pixels - kBlock, kBlock, pixels[0]);
        fill<Working>(pixels + columns, (blocks_ + 1) * kBlock - columns, pixels[columns - 1]);

        const Working* above = row > 0 ? pixels_of(row - 1) : pixels;
        ptrdiff_t* flat_rows = flat_rows_.get();
        for (ptrdiff_t block = 0, blocks = blocks_; block < blocks; ++block) {
            const ptrdiff_t at = block * kBlock;
            if (!is_flat(pixels + at))
                flat_rows[block] = 0;
            else
                flat_rows[block] = above[at] == pixels[at] ? flat_rows[block] + 1 : 1;
        }
    }

    // Whether a block of a row and what its windows see of its neighbours is of one value.
    bool is_flat(const Working* block) const {
        constexpr int kMargin = kLargestRadius + 1;
        if (block[-radius_] != block[0] || block[kBlock - 1 + radius_] != block[0]) return false;
        const auto value = everywhere<Working>(block[0]);
        auto differing = everywhere<Working>(0);
        for (int column = -kMargin; column < kBlock + kMargin; column += kLanes<Working>)
            differing |= load(block + column) ^ value;
        return !any(differing);
    }

    const ImageView<Pixel>& image_;
    const int radius_;
    const ptrdiff_t blocks_, slots_, stride_, first_row_;
    ptrdiff_t unread_;
    Buffer<Working> pixels_;
    Buffer<ptrdiff_t> flat_rows_;  // how many rows, up to the last one read, repeat a block's value
    ptrdiff_t row_at_[kLargestSide]{};  // for the offsets from -radius to radius
    const Working* pixels_at_[kLargestSide]{};
};

}  // namespace mcalc::MCALC_PATH
