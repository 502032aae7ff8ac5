// Bilinear resize of 8-bit images into normalized planes, in one pass over the output.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace edge {

// 8-bit pixels anywhere in memory; strides in bytes.
struct ImageView {
    const std::uint8_t* data;
    int rows;
    int columns;
    int channels;  // 1 or 3
    std::ptrdiff_t row_stride;
    std::ptrdiff_t column_stride;
    std::ptrdiff_t channel_stride;
};

struct Rect {
    int x;
    int y;
    int width;
    int height;
};

// Resizes `source` of the image to `target` of the output; the rest of the output is 0 (the mean, once
// normalized). Sampling is cv2.INTER_LINEAR's: half-pixel centres, clamped at the border of `source`. Immutable,
// hence re-entrant.
class ImageResizer {
 public:
    // mean and std per output channel, on the 0..1 scale. Throws std::invalid_argument where rectangles are empty
    // or stick out.
    ImageResizer(Rect source, Rect target, int rows, int columns, const std::vector<double>& mean,
                 const std::vector<double>& std);

    // Writes [channels, rows, columns]. `reverse` swaps blue and red; a one-channel image fills every output
    // channel. Throws std::invalid_argument where the image does not contain `source` or has more channels than
    // the output.
    void run(const ImageView& image, bool reverse, float* output) const;

    int channels() const { return channels_; }
    int rows() const { return rows_; }
    int columns() const { return columns_; }

 private:
    struct Taps {
        std::vector<std::uint32_t> first;  // index of the lower sample within `source`; the other one follows it
        std::vector<float> weight;         // of the other one
    };
    static Taps make_taps(int from, int to);
    void blend_rows(const ImageView& image, int y, float* blended) const;
    void write_row(const float* blended, int image_channels, bool reverse, int y, float* sampled, float* output) const;

    Rect source_;
    Rect target_;
    int rows_;
    int columns_;
    int channels_;
    std::array<float, 3> gain_{};
    std::array<float, 3> offset_{};
    Taps across_;
    Taps down_;
};

}  // namespace edge
