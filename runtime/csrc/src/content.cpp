#include "edge/content.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "edge/dispatch.hpp"

namespace edge {
namespace {

constexpr std::size_t kBlock = 64, kBlocks = 1024, kLanes = kBlock / sizeof(std::uint64_t);
constexpr std::uint64_t kMultiplier = 0x9e3779b185ebca87;  // odd, so that multiplying loses nothing

// Eight independent sums, one for each 8 bytes of a block, so that none waits for another's multiplication. A step is
// a bijection of the word that it takes in: a single changed word always changes its lane.
class Mixer {
 public:
    EDGE_INLINE void take(const std::uint8_t* block) {
        std::uint64_t words[kLanes];
        std::memcpy(words, block, kBlock);
        for (std::size_t i = 0; i < kLanes; ++i) {
            const std::uint64_t mixed = lanes_[i] ^ words[i];
            lanes_[i] = (mixed << 29 | mixed >> 35) * kMultiplier;
            seen_[i] |= words[i];
        }
    }
    std::uint64_t value(std::uint64_t length) const {
        std::uint64_t sum = length;
        for (const std::uint64_t lane : lanes_) {
            sum = (sum ^ lane) * kMultiplier;
            sum ^= sum >> 32;
        }
        return sum;
    }
    bool blank() const {
        return std::all_of(seen_.begin(), seen_.end(), [](std::uint64_t bits) { return bits == 0; });
    }

 private:
    std::array<std::uint64_t, kLanes> lanes_{1, 2, 3, 4, 5, 6, 7, 8};
    std::array<std::uint64_t, kLanes> seen_{};
};

std::size_t width_of(const ImageView& image) {
    return static_cast<std::size_t>(image.columns) * static_cast<std::size_t>(image.channels);
}

bool packed(const ImageView& image) {
    return image.channel_stride == 1 && image.column_stride == static_cast<std::ptrdiff_t>(image.channels);
}

// Up to 64 bytes of a row from `first` on, which need not lie together; the rest of `block` is zero.
void gather(const ImageView& image, const std::uint8_t* row, std::size_t first, std::uint8_t* block) {
    const std::size_t count = std::min(kBlock, width_of(image) - first);
    const auto channels = static_cast<std::size_t>(image.channels);
    std::memset(block, 0, kBlock);
    for (std::size_t i = 0; i < count; ++i) {
        const auto column = static_cast<std::ptrdiff_t>((first + i) / channels);
        const auto channel = static_cast<std::ptrdiff_t>((first + i) % channels);
        block[i] = row[column * image.column_stride + channel * image.channel_stride];
    }
}

EDGE_INLINE void take_from(const ImageView& image, bool direct, std::size_t row, std::size_t first, Mixer& mixer) {
    const std::uint8_t* const begin = image.data + static_cast<std::ptrdiff_t>(row) * image.row_stride;
    if (direct && first + kBlock <= width_of(image)) {
        mixer.take(begin + first);
        return;
    }
    std::uint8_t block[kBlock];
    gather(image, begin, first, block);
    mixer.take(block);
}

// Where in the i-th of equal stretches its block begins: spread evenly, so that no column is always missed.
std::size_t place_in(std::size_t stretch, std::size_t i) {
    const auto spread = static_cast<std::uint32_t>(i * 0x9e3779b9U);
    return static_cast<std::size_t>((static_cast<std::uint64_t>(spread) * stretch) >> 32);
}

}  // namespace

Fingerprint fingerprint(const ImageView& image) {
    const std::size_t rows = static_cast<std::size_t>(image.rows), width = width_of(image);
    const bool direct = packed(image);
    Mixer mixer;
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t first = 0; first < width; first += kBlock) {
            take_from(image, direct, row, first, mixer);
        }
    }
    return {mixer.value(rows * width), mixer.blank(), true};
}

Fingerprint glance(const ImageView& image) {
    const std::size_t width = width_of(image), total = static_cast<std::size_t>(image.rows) * width;
    if (total <= kBlocks * kBlock || width < kBlock) {
        return fingerprint(image);
    }
    const bool direct = packed(image);
    const std::size_t stretch = total / kBlocks;
    Mixer mixer;
    for (std::size_t i = 0; i < kBlocks; ++i) {
        const std::size_t at = stretch * i + place_in(stretch, i);
        take_from(image, direct, at / width, std::min(at % width, width - kBlock), mixer);
    }
    return {mixer.value(total), mixer.blank(), false};
}

SoundLevels sound_levels(const SoundView& sound, float full_scale) {
    const bool empty = sound.channels == 0 || sound.length == 0;
    SoundLevels levels{0, empty ? 0.0F : sound.data[0], true, true};
    for (std::size_t channel = 0; channel < sound.channels; ++channel) {
        const float* const values = sound.data + static_cast<std::ptrdiff_t>(channel) * sound.channel_stride;
        float magnitudes = 0.0F;  // NaN or infinite as soon as one value is
        for (std::size_t i = 0; i < sound.length; ++i) {
            const float value = values[static_cast<std::ptrdiff_t>(i) * sound.sample_stride];
            magnitudes += value * 0.0F;
            levels.full_scale += std::fabs(value) >= full_scale ? 1 : 0;
            levels.flat = levels.flat && value == values[0];
        }
        levels.finite = levels.finite && magnitudes == 0.0F;
    }
    return levels;
}

bool has_returns(const float* points, std::size_t count) {
    const auto returned = [points](std::size_t i) {
        const float* const p = points + 4 * i;
        const bool finite = std::isfinite(p[0]) && std::isfinite(p[1]) && std::isfinite(p[2]);
        return finite && (p[0] != 0.0F || p[1] != 0.0F || p[2] != 0.0F);
    };
    const std::size_t step = std::max<std::size_t>(1, count / 256);
    for (std::size_t i = 0; i < count; i += step) {
        if (returned(i)) {
            return true;
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (returned(i)) {
            return true;
        }
    }
    return false;
}

}  // namespace edge
