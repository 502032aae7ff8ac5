// What a payload holds, at a glance: a fingerprint to know it again, and whether there is anything in it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "edge/image.hpp"

namespace edge {

struct Fingerprint {
    std::uint64_t value;
    bool blank;  // every byte that was looked at is zero
    bool whole;  // every byte was looked at
};

// At most 1,024 blocks of 64 bytes, spread over rows and columns: some 5 % of a KITTI frame or sweep. Equal contents
// give equal fingerprints; different ones do so too where they differ only between the blocks.
Fingerprint glance(const ImageView& image);

// Of every byte: contents of one size that differ give different fingerprints, but for one chance in 2^64.
Fingerprint fingerprint(const ImageView& image);

// Samples of several channels; strides in values.
struct SoundView {
    const float* data;
    std::size_t channels;
    std::size_t length;
    std::ptrdiff_t channel_stride;
    std::ptrdiff_t sample_stride;
};

struct SoundLevels {
    std::size_t full_scale;  // samples of at least that magnitude
    float first;             // the first sample; 0 of none
    bool flat;               // every channel holds one value throughout
    bool finite;             // all samples are numbers
};

SoundLevels sound_levels(const SoundView& sound, float full_scale);

// Whether any of `count` points x, y, z, reflectance is finite and not the origin, at which drivers put what did not
// return. Some points are looked at first, all of them only where none of those will do.
bool has_returns(const float* points, std::size_t count);

}  // namespace edge
