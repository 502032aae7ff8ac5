#include "edge/image.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "edge/dispatch.hpp"

namespace edge {
namespace {

// out = a + (b - a) * weight over packed bytes.
EDGE_CLONES void blend_packed(const std::uint8_t* a, const std::uint8_t* b, float weight, std::size_t count,
                              float* out) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
        const float low = static_cast<float>(a[i]);
        out[i] = low + (static_cast<float>(b[i]) - low) * weight;
    }
}

// Loading by gather instructions is slower than by hand on most hosts, so a pixel's channels are loaded together
// and set apart afterwards. Vectors of this kind exist in GCC and Clang on every host.
typedef float Pixel __attribute__((vector_size(16)));

EDGE_INLINE Pixel load_pixel(const float* at) {
    Pixel pixel;
    std::memcpy(&pixel, at, sizeof(pixel));
    return pixel;
}

// Samples a packed row of three channels into pixels of four floats. The row is padded by two pixels: the last
// one's neighbour has no weight, but is read.
EDGE_CLONES void interpolate_three(const float* row, const std::uint32_t* first, const float* weight, std::size_t count,
                                   float* pixels) {
    for (std::size_t i = 0; i < count; ++i) {
        const float* at = row + 3 * std::size_t{first[i]};
        const Pixel low = load_pixel(at);
        const Pixel value = low + (load_pixel(at + 3) - low) * weight[i];
        std::memcpy(pixels + 4 * i, &value, sizeof(value));
    }
}

EDGE_CLONES void normalize_channel(const float* pixels, float gain, float offset, std::size_t count, float* out) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = pixels[4 * i] * gain + offset;
    }
}

void interpolate_one(const float* row, const std::uint32_t* first, const float* weight, std::size_t count,
                     float* samples) {
    for (std::size_t i = 0; i < count; ++i) {
        const float* at = row + first[i];
        samples[i] = at[0] + (at[1] - at[0]) * weight[i];
    }
}

EDGE_CLONES void normalize_packed(const float* samples, float gain, float offset, std::size_t count, float* out) {
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = samples[i] * gain + offset;
    }
}

bool contains(int size, int start, int length) { return start >= 0 && length >= 1 && start <= size - length; }

}  // namespace

ImageResizer::Taps ImageResizer::make_taps(int from, int to) {
    Taps taps;
    const double scale = static_cast<double>(from) / to;
    for (int i = 0; i < to; ++i) {
        const double at = std::clamp((i + 0.5) * scale - 0.5, 0.0, from - 1.0);
        const double first = std::floor(at);
        taps.first.push_back(static_cast<std::uint32_t>(first));
        taps.weight.push_back(static_cast<float>(at - first));
    }
    return taps;
}

ImageResizer::ImageResizer(Rect source, Rect target, int rows, int columns, const std::vector<double>& mean,
                           const std::vector<double>& std)
    : source_(source), target_(target), rows_(rows), columns_(columns), channels_(static_cast<int>(mean.size())) {
    if (source.width < 1 || source.height < 1 || source.x < 0 || source.y < 0 ||
        !contains(columns, target.x, target.width) || !contains(rows, target.y, target.height)) {
        throw std::invalid_argument("the resize rectangles are empty or stick out of the output");
    }
    if ((mean.size() != 1 && mean.size() != 3) || std.size() != mean.size()) {
        throw std::invalid_argument("mean and std must hold one value per output channel (1 or 3)");
    }
    for (std::size_t c = 0; c < mean.size(); ++c) {
        if (!(std[c] > 0.0) || !std::isfinite(mean[c]) || !std::isfinite(std[c])) {
            throw std::invalid_argument("std must be positive, mean and std finite");
        }
        gain_[c] = static_cast<float>(1.0 / (255.0 * std[c]));
        offset_[c] = static_cast<float>(-mean[c] / std[c]);
    }
    across_ = make_taps(source.width, target.width);
    down_ = make_taps(source.height, target.height);
}

void ImageResizer::run(const ImageView& image, bool reverse, float* output) const {
    if (!contains(image.columns, source_.x, source_.width) || !contains(image.rows, source_.y, source_.height)) {
        throw std::invalid_argument("the image is smaller than the rectangle to resize");
    }
    if ((image.channels != 1 && image.channels != 3) || image.channels > channels_) {
        throw std::invalid_argument("the image has more channels than the output");
    }
    if (target_.width != columns_ || target_.height != rows_) {
        std::fill_n(output, static_cast<std::ptrdiff_t>(channels_) * rows_ * columns_, 0.0F);
    }
    const auto padded = static_cast<std::size_t>(source_.width) + 2;
    std::vector<float> blended(padded * static_cast<std::size_t>(image.channels));
    std::vector<float> sampled(4 * across_.first.size());
    for (int y = 0; y < target_.height; ++y) {
        blend_rows(image, y, blended.data());
        write_row(blended.data(), image.channels, reverse, y, sampled.data(), output);
    }
}

// The vertical step: one packed row of floats.
void ImageResizer::blend_rows(const ImageView& image, int y, float* blended) const {
    const auto row = static_cast<std::size_t>(y);
    const std::uint8_t* origin = image.data + source_.y * image.row_stride + source_.x * image.column_stride;
    const auto first = static_cast<int>(down_.first[row]);
    const std::uint8_t* a = origin + first * image.row_stride;
    const std::uint8_t* b = origin + std::min(first + 1, source_.height - 1) * image.row_stride;
    const float weight = down_.weight[row];
    const auto width = static_cast<std::size_t>(source_.width);
    const auto channels = static_cast<std::size_t>(image.channels);
    if (image.column_stride == image.channels && (image.channels == 1 || image.channel_stride == 1)) {
        blend_packed(a, b, weight, width * channels, blended);
        return;
    }
    for (std::size_t x = 0; x < width; ++x) {
        for (std::size_t c = 0; c < channels; ++c) {
            const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(x) * image.column_stride +
                                      static_cast<std::ptrdiff_t>(c) * image.channel_stride;
            const float low = static_cast<float>(a[at]);
            blended[x * channels + c] = low + (static_cast<float>(b[at]) - low) * weight;
        }
    }
}

void ImageResizer::write_row(const float* blended, int image_channels, bool reverse, int y, float* sampled,
                             float* output) const {
    const std::size_t count = across_.first.size();
    const std::size_t plane = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_);
    const std::size_t start = static_cast<std::size_t>(y + target_.y) * static_cast<std::size_t>(columns_) +
                              static_cast<std::size_t>(target_.x);
    const auto interpolate = image_channels == 1 ? interpolate_one : interpolate_three;
    const auto normalize = image_channels == 1 ? normalize_packed : normalize_channel;
    interpolate(blended, across_.first.data(), across_.weight.data(), count, sampled);
    for (std::size_t c = 0; c < static_cast<std::size_t>(channels_); ++c) {
        const std::size_t from = image_channels == 1 ? 0 : (reverse ? 2 - c : c);
        normalize(sampled + from, gain_[c], offset_[c], count, output + c * plane + start);
    }
}

}  // namespace edge
