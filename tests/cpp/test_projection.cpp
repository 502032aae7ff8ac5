#include <array>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "edge/projection.hpp"
#include "harness.hpp"

namespace {

constexpr int kRows = 24, kColumns = 32;
constexpr edge::Transform kIdentity{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
constexpr edge::ViewScale kScale{1.0, 80.0, -2.0, 2.0};
constexpr edge::Window kAll{-0.5, -0.5, kColumns - 0.5, kRows - 0.5};

edge::LidarView make_view(edge::Lens lens = edge::Lens::kNone, const std::vector<double>& k = {}) {
    const edge::Camera camera(20, 20, 15.5, 11.5, lens, k);
    return {camera, kIdentity, {0, -1, 0, 0}, kScale, kRows, kColumns, kAll};
}

std::vector<float> run(const edge::LidarView& view, const std::vector<float>& points) {
    std::vector<float> out(4 * kRows * kColumns, -9.0F);
    view.fill({points.data(), points.size() / 4}, out.data());
    return out;
}

std::vector<float> random_points(std::size_t count) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> side(-20, 20), depth(-10, 90), reflectance(0, 1);
    std::vector<float> points;
    for (std::size_t i = 0; i < count; ++i) {
        points.insert(points.end(), {side(random), side(random), depth(random), reflectance(random)});
    }
    return points;
}

void the_nearest_point_wins_whatever_the_order() {
    const std::vector<float> near_first{0, 0, 5, 0.5F, 0, 0, 10, 1.0F};
    const std::vector<float> far_first{0, 0, 10, 1.0F, 0, 0, 5, 0.5F};
    const std::vector<float> view = run(make_view(), near_first);
    CHECK(view == run(make_view(), far_first));
    const std::size_t cell = 12 * kColumns + 16;  // u = 15.5 rounds up
    CHECK_NEAR(view[cell], 2 * std::log(5.0) / std::log(80.0) - 1, 1e-6);
    CHECK(view[2 * kRows * kColumns + cell] == 0.0F);
    CHECK(view[3 * kRows * kColumns + cell] == 1.0F);
}

void points_without_meaning_leave_no_trace() {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const std::vector<float> points{0, 0,    0,  1, 0,     0,     -5,     1, kNan, 0, 5,      1,
                                    0, kInf, 5,  1, 0,     0,     kInf,   1, 0,    0, kNan,   1,
                                    0, 0,    81, 1, 3e38F, 3e38F, 1e-38F, 1, 0,    0, 1e-45F, 1};
    for (const float value : run(make_view(), points)) {
        CHECK(value == 0.0F);
    }
}

void every_count_of_points_and_every_lens_agree_with_pixels() {
    const edge::Lens lenses[] = {edge::Lens::kNone, edge::Lens::kPlumbBob, edge::Lens::kRational, edge::Lens::kFisheye};
    const std::vector<double> coefficients[] = {
        {}, {-0.3, 0.1, 0, 0}, {0.6, -0.2, 5e-4, -3e-4, -0.02, 0.95, -0.05, -0.04}, {0.05, -0.02, 0.006, -0.002}};
    for (std::size_t i = 0; i < 4; ++i) {
        const edge::Camera camera(20, 20, 15.5, 11.5, lenses[i], coefficients[i]);
        for (const std::size_t count : {0U, 1U, 3U, 255U, 256U, 1000U}) {
            const std::vector<float> points = random_points(count);
            std::vector<float> uvz(3 * count);
            std::vector<std::uint8_t> visible(count);
            edge::project_points(camera, kIdentity, kAll, {points.data(), count}, uvz.data(), visible.data());
            std::vector<bool> expected(kRows * kColumns, false);
            for (std::size_t p = 0; p < count; ++p) {
                if (visible[p] && uvz[3 * p + 2] <= 80.0F) {
                    const auto column = static_cast<std::size_t>(uvz[3 * p] + 0.5F);
                    expected[static_cast<std::size_t>(uvz[3 * p + 1] + 0.5F) * kColumns + column] = true;
                }
            }
            const std::vector<float> view = run(make_view(lenses[i], coefficients[i]), points);
            for (std::size_t cell = 0; cell < expected.size(); ++cell) {
                CHECK((view[3 * expected.size() + cell] == 1.0F) == expected[cell]);
            }
        }
    }
}

void threads_share_one_view() {
    const edge::LidarView view = make_view();
    const std::vector<float> points = random_points(5000), expected = run(view, points);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < 20; ++k) {
                CHECK(run(view, points) == expected);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

void nonsense_is_refused() {
    const edge::Camera camera(20, 20, 15.5, 11.5, edge::Lens::kNone, {});
    CHECK_THROWS(edge::LidarView(camera, kIdentity, {0, 0, 1, 0}, {5, 1, 0, 1}, 4, 4, kAll), std::invalid_argument);
    CHECK_THROWS(edge::LidarView(camera, kIdentity, {0, 0, 1, 0}, {1, 5, 1, 1}, 4, 4, kAll), std::invalid_argument);
    CHECK_THROWS(edge::LidarView(camera, kIdentity, {0, 0, 1, 0}, {1, 5, 0, 1}, 0, 4, kAll), std::invalid_argument);
}

}  // namespace

int main() {
    the_nearest_point_wins_whatever_the_order();
    points_without_meaning_leave_no_trace();
    every_count_of_points_and_every_lens_agree_with_pixels();
    threads_share_one_view();
    nonsense_is_refused();
}
