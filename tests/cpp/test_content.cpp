// Fingerprints know contents again wherever they lie in memory; sound levels and returns see every value.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "edge/content.hpp"
#include "harness.hpp"

namespace {

using edge::ImageView;

std::vector<std::uint8_t> noise(std::size_t size) {
    std::mt19937 random(11);
    std::vector<std::uint8_t> bytes(size);
    for (std::uint8_t& byte : bytes) {
        byte = static_cast<std::uint8_t>(random());
    }
    return bytes;
}

ImageView packed(const std::vector<std::uint8_t>& bytes, int rows, int columns, int channels) {
    return {bytes.data(), rows, columns, channels, std::ptrdiff_t{columns} * channels, channels, 1};
}

void a_single_bit_changes_the_fingerprint() {
    std::vector<std::uint8_t> bytes = noise(64 * 100 * 3 + 3 * 100);
    const ImageView image = packed(bytes, 65, 100, 3);
    const std::uint64_t before = edge::fingerprint(image).value;
    for (std::size_t at = 0; at < bytes.size(); at += 7) {
        bytes[at] ^= 1U;
        CHECK(edge::fingerprint(image).value != before);
        bytes[at] ^= 1U;
    }
    CHECK(edge::fingerprint(image).value == before);
}

void strides_do_not_matter() {
    const int rows = 300, columns = 250;
    const std::vector<std::uint8_t> bytes = noise(std::size_t{rows} * columns * 3);
    std::vector<std::uint8_t> padded(std::size_t{rows} * 1000), reversed(bytes.size());
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t i = 0; i < columns * 3; ++i) {
            const std::uint8_t value = bytes[row * columns * 3 + i];
            padded[row * 1000 + i] = value;
            reversed[row * columns * 3 + i / 3 * 3 + 2 - i % 3] = value;
        }
    }
    const ImageView plain = packed(bytes, rows, columns, 3);
    const ImageView wide{padded.data(), rows, columns, 3, 1000, 3, 1};
    const ImageView swapped{reversed.data() + 2, rows, columns, 3, columns * 3, 3, -1};
    for (const ImageView& other : {wide, swapped}) {
        CHECK(edge::fingerprint(other).value == edge::fingerprint(plain).value);
        CHECK(edge::glance(other).value == edge::glance(plain).value);
    }
    CHECK(!edge::glance(plain).whole);
}

// 1024 stretches of exactly one row each: the blocks must not all lie in the first columns.
void a_glance_spreads_over_columns() {
    const int rows = 1024, columns = 1000;
    std::vector<std::uint8_t> bytes(std::size_t{rows} * columns);
    const ImageView image = packed(bytes, rows, columns, 1);
    CHECK(edge::glance(image).blank);
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t column = 700; column < 800; ++column) {
            bytes[row * columns + column] = 1;
        }
    }
    CHECK(!edge::glance(image).blank);
}

void small_contents_are_looked_at_whole() {
    std::vector<std::uint8_t> bytes(40 * 40);
    const ImageView image = packed(bytes, 40, 40, 1);
    CHECK(edge::glance(image).whole && edge::glance(image).blank);
    bytes[1599] = 1;
    CHECK(!edge::glance(image).blank && !edge::fingerprint(image).blank);
    const ImageView nothing = packed(bytes, 0, 0, 1);
    CHECK(edge::glance(nothing).blank && edge::glance(nothing).whole);
}

void sizes_are_part_of_the_fingerprint() {
    const std::vector<std::uint8_t> bytes(640);
    CHECK(edge::fingerprint(packed(bytes, 2, 64, 1)).value != edge::fingerprint(packed(bytes, 2, 63, 1)).value);
}

void sound_is_seen_value_by_value() {
    const float infinite = std::numeric_limits<float>::infinity();
    std::vector<float> values(2 * 50, 0.25F);
    const edge::SoundView sound{values.data(), 2, 50, 50, 1};
    CHECK(edge::sound_levels(sound, 0.9F).flat && edge::sound_levels(sound, 0.9F).finite);
    CHECK(edge::sound_levels(sound, 0.25F).full_scale == 100);
    values[99] = -1.0F;
    CHECK(!edge::sound_levels(sound, 0.9F).flat);
    CHECK(edge::sound_levels(sound, 0.9F).full_scale == 1);
    for (const float bad : {infinite, -infinite, std::nanf("")}) {
        values[49] = bad;
        CHECK(!edge::sound_levels(sound, 0.9F).finite);
    }
    const edge::SoundView interleaved{values.data(), 2, 10, 1, 2};
    CHECK(edge::sound_levels(interleaved, 0.9F).finite && edge::sound_levels(interleaved, 0.9F).flat);
}

void one_return_is_enough() {
    std::vector<float> points(4 * 10'000);
    CHECK(!edge::has_returns(points.data(), 10'000) && !edge::has_returns(points.data(), 0));
    for (std::size_t i = 0; i < 10'000; i += 2) {
        points[4 * i] = std::nanf("");
    }
    CHECK(!edge::has_returns(points.data(), 10'000));
    points[4 * 9'999 + 2] = 3.0F;
    CHECK(edge::has_returns(points.data(), 10'000));
}

}  // namespace

int main() {
    a_single_bit_changes_the_fingerprint();
    strides_do_not_matter();
    a_glance_spreads_over_columns();
    small_contents_are_looked_at_whole();
    sizes_are_part_of_the_fingerprint();
    sound_is_seen_value_by_value();
    one_return_is_enough();
    return 0;
}
