#include <stdexcept>
#include <vector>

#include "edge/image.hpp"
#include "harness.hpp"

namespace {

using edge::ImageResizer;
using edge::ImageView;

ImageView packed(const std::vector<std::uint8_t>& data, int rows, int columns, int channels) {
    return {data.data(), rows, columns, channels, columns * channels, channels, 1};
}

std::vector<std::uint8_t> ramp(int count) {
    std::vector<std::uint8_t> data;
    for (int i = 0; i < count; ++i) {
        data.push_back(static_cast<std::uint8_t>(i * 7));
    }
    return data;
}

void one_pixel_fills_everything() {
    const std::vector<std::uint8_t> data{10, 20, 255};
    const ImageResizer resizer({0, 0, 1, 1}, {0, 0, 5, 3}, 3, 5, {0, 0, 0.5}, {1, 1, 0.5});
    std::vector<float> out(3 * 3 * 5);
    resizer.run(packed(data, 1, 1, 3), false, out.data());
    for (std::size_t i = 0; i < 15; ++i) {
        CHECK_NEAR(out[i], 10 / 255.0, 1e-6);
        CHECK_NEAR(out[15 + i], 20 / 255.0, 1e-6);
        CHECK_NEAR(out[30 + i], 1.0, 1e-6);
    }
}

void the_same_size_copies_exactly_to_the_last_pixel() {
    const std::vector<std::uint8_t> data = ramp(3 * 4 * 5);
    const ImageResizer resizer({0, 0, 5, 4}, {0, 0, 5, 4}, 4, 5, {0, 0, 0}, {1, 1, 1});
    std::vector<float> out(3 * 4 * 5);
    resizer.run(packed(data, 4, 5, 3), true, out.data());
    for (std::size_t i = 0; i < 20; ++i) {
        for (std::size_t c = 0; c < 3; ++c) {
            CHECK_NEAR(out[(2 - c) * 20 + i] * 255, data[3 * i + c], 1e-4);
        }
    }
}

void a_window_of_a_larger_frame_equals_its_copy() {
    const std::vector<std::uint8_t> data = ramp(3 * 10 * 12);
    std::vector<std::uint8_t> copy;
    for (int y = 2; y < 8; ++y) {
        copy.insert(copy.end(), data.begin() + 3 * (12 * y + 4), data.begin() + 3 * (12 * y + 11));
    }
    const ImageResizer inside({4, 2, 7, 6}, {0, 0, 4, 9}, 9, 4, {0, 0, 0}, {1, 1, 1});
    const ImageResizer alone({0, 0, 7, 6}, {0, 0, 4, 9}, 9, 4, {0, 0, 0}, {1, 1, 1});
    std::vector<float> first(3 * 36), second(3 * 36);
    inside.run(packed(data, 10, 12, 3), false, first.data());
    alone.run(packed(copy, 6, 7, 3), false, second.data());
    CHECK(first == second);
}

void padding_is_zero() {
    const std::vector<std::uint8_t> data(4, 255);
    const ImageResizer resizer({0, 0, 2, 2}, {1, 1, 2, 2}, 4, 4, {0}, {1});
    std::vector<float> out(16, -1);
    resizer.run(packed(data, 2, 2, 1), false, out.data());
    for (std::size_t i = 0; i < 16; ++i) {
        const bool content = i / 4 >= 1 && i / 4 <= 2 && i % 4 >= 1 && i % 4 <= 2;
        CHECK_NEAR(out[i], content ? 1.0 : 0.0, 1e-6);
    }
}

void nonsense_is_refused() {
    CHECK_THROWS(ImageResizer({0, 0, 0, 1}, {0, 0, 1, 1}, 1, 1, {0}, {1}), std::invalid_argument);
    CHECK_THROWS(ImageResizer({0, 0, 1, 1}, {0, 0, 2, 1}, 1, 1, {0}, {1}), std::invalid_argument);
    CHECK_THROWS(ImageResizer({0, 0, 1, 1}, {0, 0, 1, 1}, 1, 1, {0, 0}, {1, 1}), std::invalid_argument);
    CHECK_THROWS(ImageResizer({0, 0, 1, 1}, {0, 0, 1, 1}, 1, 1, {0}, {0}), std::invalid_argument);
    const ImageResizer resizer({0, 0, 3, 3}, {0, 0, 1, 1}, 1, 1, {0}, {1});
    const std::vector<std::uint8_t> data(27);
    float out = 0;
    CHECK_THROWS(resizer.run(packed(data, 2, 3, 1), false, &out), std::invalid_argument);
    CHECK_THROWS(resizer.run(packed(data, 3, 3, 3), false, &out), std::invalid_argument);
}

}  // namespace

int main() {
    one_pixel_fills_everything();
    the_same_size_copies_exactly_to_the_last_pixel();
    a_window_of_a_larger_frame_equals_its_copy();
    padding_is_zero();
    nonsense_is_refused();
}
