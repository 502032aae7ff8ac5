#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "edge/deskew.hpp"
#include "harness.hpp"

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr edge::Transform kIdentity{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
constexpr edge::Twist kRound{{10, 0, 0}, {0, 0, 2}};  // a circle of 5 m to the left
constexpr edge::MotionReach kReach{0.1};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

edge::Trajectory along(const edge::Twist& twist) { return edge::Trajectory::along_twists({0.0}, {twist}); }

std::vector<float> run(const edge::Trajectory& motion, const std::vector<float>& points,
                       const std::vector<float>& times, double target_s = 0.0) {
    std::vector<float> out(points.size(), -9.0F);
    const edge::Deskewed done =
        edge::deskew(motion, kIdentity, target_s, kReach, {points.data(), points.size() / 4}, times.data(), out.data());
    CHECK(done.outcome == edge::DeskewOutcome::kDone);
    return out;
}

edge::DeskewOutcome outcome(const edge::Trajectory& motion, const std::vector<float>& times, double target_s) {
    const std::vector<float> points(4 * times.size(), 1.0F);
    std::vector<float> out(points.size(), -9.0F);
    const std::vector<float> before = out;
    const edge::Deskewed done =
        edge::deskew(motion, kIdentity, target_s, kReach, {points.data(), times.size()}, times.data(), out.data());
    CHECK((done.outcome == edge::DeskewOutcome::kDone) == (out != before));
    return done.outcome;
}

std::vector<float> random_points(std::size_t count) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> side(-80, 80), reflectance(0, 1);
    std::vector<float> points;
    for (std::size_t i = 0; i < count; ++i) {
        points.insert(points.end(), {side(random), side(random), side(random), reflectance(random)});
    }
    return points;
}

std::vector<float> random_times(std::size_t count) {
    std::mt19937 random(8);
    std::uniform_real_distribution<float> time(-0.05F, 0.05F);
    std::vector<float> times(count);
    for (float& value : times) {
        value = time(random);
    }
    return times;
}

void a_constant_twist_runs_on_a_circle() {
    for (const double t : {-2.0, -0.05, 0.0, 0.05, kPi, 100.0}) {
        const edge::Transform at = along(kRound).at(t);
        CHECK_NEAR(at[0], std::cos(2 * t), 1e-12);
        CHECK_NEAR(at[4], std::sin(2 * t), 1e-12);
        CHECK_NEAR(at[3], 5 * std::sin(2 * t), 1e-11);
        CHECK_NEAR(at[7], 5 * (1 - std::cos(2 * t)), 1e-11);
    }
}

// Also at half a turn, and with either sign of a quaternion, which stand for the same rotation.
void the_twist_between_poses_leads_from_one_to_the_other() {
    std::mt19937 random(3);
    std::uniform_real_distribution<double> any(-1, 1);
    for (int i = 0; i < 500; ++i) {
        edge::Twist twist{{5 * any(random), 5 * any(random), any(random)}, {any(random), any(random), any(random)}};
        const double length = std::hypot(twist.angular[0], twist.angular[1], twist.angular[2]);
        const double angle = i % 5 == 0 ? kPi * (1 - 1e-9) : i % 5 == 1 ? 1e-9 : 3.1 * std::fabs(any(random));
        edge::Pose to{{}, {}};
        for (std::size_t k = 0; k < 3; ++k) {
            twist.angular[k] *= angle / length;
            to.rotation[k] = (i % 2 ? -1 : 1) * std::sin(angle / 2) * twist.angular[k] / angle;
        }
        to.rotation[3] = (i % 2 ? -1 : 1) * std::cos(angle / 2);
        const edge::Transform end = edge::moved(twist, 1.0);
        to.position = {end[3], end[7], end[11]};
        const edge::Twist found = edge::twist_between({{0, 0, 0}, {0, 0, 0, 1}}, to, 0.5);
        for (std::size_t k = 0; k < 3; ++k) {
            CHECK_NEAR(found.linear[k], 2 * twist.linear[k], 1e-7);
            CHECK_NEAR(found.angular[k], 2 * twist.angular[k], 1e-7);
        }
    }
}

void poses_and_twists_of_one_motion_agree() {
    std::vector<double> times;
    std::vector<edge::Pose> poses;
    for (int k = 0; k < 5; ++k) {
        const double t = 0.05 * k - 0.1;
        times.push_back(t);
        // Far from the origin of its map.
        poses.push_back(
            {{5e5 + 5 * std::sin(2 * t), 5e6 + 5 * (1 - std::cos(2 * t)), 100}, {0, 0, std::sin(t), std::cos(t)}});
    }
    const edge::Trajectory by_poses = edge::Trajectory::through_poses(times, poses);
    const std::vector<float> points = random_points(500), at = random_times(500);
    const std::vector<float> a = run(by_poses, points, at), b = run(along(kRound), points, at);
    for (std::size_t i = 0; i < a.size(); ++i) {
        CHECK_NEAR(a[i], b[i], 5e-5);
    }
}

void every_count_of_points_follows_the_formula() {
    for (const std::size_t count : {0U, 1U, 3U, 4U, 255U, 256U, 257U, 1000U}) {
        const std::vector<float> points = random_points(count), times = random_times(count);
        const std::vector<float> out = run(along(kRound), points, times, 0.03);
        const edge::Transform back = edge::inverse(along(kRound).at(0.03));
        for (std::size_t i = 0; i < count; ++i) {
            const edge::Transform T = edge::compose(back, along(kRound).at(times[i]));
            for (std::size_t k = 0; k < 3; ++k) {
                const double expected = T[4 * k] * points[4 * i] + T[4 * k + 1] * points[4 * i + 1] +
                                        T[4 * k + 2] * points[4 * i + 2] + T[4 * k + 3];
                CHECK_NEAR(out[4 * i + k], expected, 5e-5);
            }
            CHECK(out[4 * i + 3] == points[4 * i + 3]);
        }
    }
}

void without_motion_every_point_stays() {
    const std::vector<float> points = random_points(1000), times = random_times(1000);
    CHECK(same_bits(run(along({{0, 0, 0}, {0, 0, 0}}), points, times, 0.02), points));
}

void equal_times_move_the_sweep_as_one() {
    const std::vector<float> points{10, 0, 0, 0.5F, 20, 3, 1, 0.5F};
    CHECK(same_bits(run(along(kRound), points, {0.0F, 0.0F}), points));
    const std::vector<float> out = run(along({{10, 0, 0}, {0, 0, 0}}), points, {0.05F, 0.05F});
    CHECK_NEAR(out[0], 10.5, 1e-5);
    CHECK_NEAR(out[4], 20.5, 1e-5);
}

void points_without_meaning_stay_what_they_are() {
    const std::vector<float> points{kNan, 1,    1, 0.1F, 1, kInf, 1,     0.2F, 1, 1,    -kInf, 0.3F, 0, 0,
                                    0,    0.4F, 5, 5,    5, 0.5F, -0.0F, 0,    0, kNan, 7,     7,    7, kNan};
    const std::vector<float> times{0.05F, 0.05F, 0.05F, 0.05F, kNan, 0.05F, -0.05F};
    std::vector<float> out = run(along(kRound), points, times), kept = points;
    CHECK(std::fabs(out[24] - 7.0F) > 0.1F);
    std::copy_n(out.begin() + 24, 3, kept.begin() + 24);
    CHECK(same_bits(out, kept));
    const edge::Deskewed done =
        edge::deskew(along(kRound), kIdentity, 0, kReach, {points.data(), 7}, times.data(), out.data());
    CHECK(done.timeless == 1);
}

void what_the_motion_does_not_cover_is_refused() {
    const auto motion = edge::Trajectory::along_twists({-1.0, -0.1, 0.2, 0.3}, {kRound, kRound, kRound, kRound});
    using edge::DeskewOutcome;
    CHECK(outcome(motion, {0.2F, 0.3F}, 0.25) == DeskewOutcome::kDone);
    CHECK(outcome(motion, {0.2F, 0.39F}, 0.25) == DeskewOutcome::kDone);
    CHECK(outcome(motion, {0.2F, 0.41F}, 0.25) == DeskewOutcome::kAfterMotion);
    CHECK(outcome(motion, {0.2F}, 0.41) == DeskewOutcome::kAfterMotion);
    CHECK(outcome(motion, {-1.2F, 0.3F}, 0.25) == DeskewOutcome::kBeforeMotion);
    CHECK(outcome(motion, {0.3F, 3e38F}, 0.25) == DeskewOutcome::kAfterMotion);
    CHECK(outcome(motion, {0.1F, 0.3F}, 0.25) == DeskewOutcome::kMotionGap);  // 0.3 s between two samples
    CHECK(outcome(motion, {0.3F}, 0.15) == DeskewOutcome::kMotionGap);
    CHECK(outcome(motion, {kNan, kInf}, 0.25) == DeskewOutcome::kNoTimes);
    CHECK(outcome(motion, {0.25F}, std::nan("")) != DeskewOutcome::kDone);
}

void threads_share_one_trajectory() {
    const edge::Trajectory motion = along(kRound);
    const std::vector<float> points = random_points(5000), times = random_times(5000);
    const std::vector<float> expected = run(motion, points, times);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < 10; ++k) {
                CHECK(same_bits(run(motion, points, times), expected));
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

void nonsense_is_refused() {
    using edge::Trajectory;
    const edge::Pose here{{0, 0, 0}, {0, 0, 0, 1}};
    CHECK_THROWS(Trajectory::along_twists({}, {}), std::invalid_argument);
    CHECK_THROWS(Trajectory::along_twists({0, 1}, {kRound}), std::invalid_argument);
    CHECK_THROWS(Trajectory::along_twists({1, 1}, {kRound, kRound}), std::invalid_argument);
    CHECK_THROWS(Trajectory::along_twists({std::nan("")}, {kRound}), std::invalid_argument);
    CHECK_THROWS(Trajectory::along_twists({0}, {{{1e9, 0, 0}, {0, 0, 0}}}), std::invalid_argument);
    CHECK_THROWS(Trajectory::along_twists({0}, {{{0, 0, 0}, {0, std::nan(""), 0}}}), std::invalid_argument);
    CHECK_THROWS(Trajectory::through_poses({0}, {here}), std::invalid_argument);
    CHECK_THROWS(Trajectory::through_poses({0, 1}, {here, {{0, 0, 0}, {0, 0, 0, 0}}}), std::invalid_argument);
    CHECK_THROWS(Trajectory::through_poses({0, 1}, {here, {{HUGE_VAL, 0, 0}, {0, 0, 0, 1}}}), std::invalid_argument);
}

}  // namespace

int main() {
    a_constant_twist_runs_on_a_circle();
    the_twist_between_poses_leads_from_one_to_the_other();
    poses_and_twists_of_one_motion_agree();
    every_count_of_points_follows_the_formula();
    without_motion_every_point_stays();
    equal_times_move_the_sweep_as_one();
    points_without_meaning_stay_what_they_are();
    what_the_motion_does_not_cover_is_refused();
    threads_share_one_trajectory();
    nonsense_is_refused();
}
