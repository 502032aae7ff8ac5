#include "edge/motion.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace edge {
namespace {

constexpr double kLargestVelocity = 1e4;  // m/s or rad/s; no sensor moves like that
constexpr double kUnitTolerance = 1e-3;
constexpr int kTerms = 16;
constexpr double kHalfTurn2 = 9.87;  // rad^2

double dot(const Vector3& a, const Vector3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

Vector3 cross(const Vector3& a, const Vector3& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

Vector3 scaled(const Vector3& v, double factor) { return {v[0] * factor, v[1] * factor, v[2] * factor}; }

// Coefficients of 1/n! - x/(n+2)! + x^2/(n+4)! - ...: with x = a^2 that is sin(a)/a for n = 1, (1 - cos(a))/a^2 for
// n = 2 and (a - sin(a))/a^3 for n = 3, to double precision up to half a turn.
template <int n>
constexpr std::array<double, kTerms> coefficients() {
    std::array<double, kTerms> found{};
    double factorial = n == 3 ? 6.0 : n;
    for (int k = 0; k < kTerms; ++k) {
        found[static_cast<std::size_t>(k)] = (k % 2 ? -1.0 : 1.0) / factorial;
        factorial *= (n + 2.0 * k + 1.0) * (n + 2.0 * k + 2.0);
    }
    return found;
}

template <int n>
double series(double x) {
    static constexpr std::array<double, kTerms> kCoefficients = coefficients<n>();
    double sum = 0.0;
    for (std::size_t k = kCoefficients.size(); k > 0; --k) {
        sum = sum * x + kCoefficients[k - 1];
    }
    return sum;
}

// asin(s)/s from s^2, for s <= 0.2.
double arcsine_ratio(double s2) {
    double sum = 0.0, term = 1.0;
    for (int k = 0; k < kTerms; ++k) {
        sum += term / (2.0 * k + 1.0);
        term *= s2 * (2.0 * k + 1.0) / (2.0 * k + 2.0);
    }
    return sum;
}

// Rotation vector of a unit quaternion with w >= 0. Halving its angle some times lets the series converge.
Vector3 rotation_vector(Vector3 v, double w) {
    double turns = 2.0;
    while (dot(v, v) > 0.04 || w < 0.9) {
        v = scaled(v, 1.0 / std::sqrt(2.0 * (1.0 + w)));
        w = std::sqrt(0.5 * (1.0 + w));
        turns *= 2.0;
    }
    return scaled(v, turns * arcsine_ratio(dot(v, v)));
}

Transform matrix_of(const Pose& pose) {
    const double x = pose.rotation[0], y = pose.rotation[1], z = pose.rotation[2], w = pose.rotation[3];
    const double s = 2.0 / (x * x + y * y + z * z + w * w);
    const Vector3& p = pose.position;
    return {1.0 - s * (y * y + z * z), s * (x * y - z * w),       s * (x * z + y * w),       p[0],
            s * (x * y + z * w),       1.0 - s * (x * x + z * z), s * (y * z - x * w),       p[1],
            s * (x * z - y * w),       s * (y * z + x * w),       1.0 - s * (x * x + y * y), p[2]};
}

// Solves (1 + b [phi]x + c [phi]x^2) x = p by Cramer's rule.
Vector3 solve(const Vector3& phi, double b, double c, const Vector3& p) {
    std::array<Vector3, 3> columns;
    for (std::size_t i = 0; i < 3; ++i) {
        Vector3 unit{};
        unit[i] = 1.0;
        const Vector3 once = cross(phi, unit), twice = cross(phi, once);
        for (std::size_t k = 0; k < 3; ++k) {
            columns[i][k] = unit[k] + b * once[k] + c * twice[k];
        }
    }
    const double determinant = dot(columns[0], cross(columns[1], columns[2]));
    return {dot(p, cross(columns[1], columns[2])) / determinant, dot(p, cross(columns[2], columns[0])) / determinant,
            dot(p, cross(columns[0], columns[1])) / determinant};
}

template <std::size_t N>
bool all_below(const std::array<double, N>& values, double limit) {
    return std::all_of(values.begin(), values.end(), [limit](double v) { return std::fabs(v) < limit; });
}

void check_times(const std::vector<double>& times_s, std::size_t count, std::size_t fewest) {
    if (times_s.size() != count || count < fewest) {
        throw std::invalid_argument("a trajectory needs a time for every sample, two poses or one twist at least");
    }
    double before = -HUGE_VAL;
    for (const double time_s : times_s) {
        if (!(time_s > before) || !std::isfinite(time_s)) {
            throw std::invalid_argument("the times of a trajectory must be finite and increase");
        }
        before = time_s;
    }
}

void check_pose(const Pose& pose) {
    double square = 0.0;
    for (const double value : pose.rotation) {
        square += value * value;
    }
    if (!all_below(pose.position, HUGE_VAL) || !(std::fabs(std::sqrt(square) - 1.0) <= kUnitTolerance)) {
        throw std::invalid_argument("a pose must have a finite position and a quaternion of unit length");
    }
}

Twist mean(const Twist& a, const Twist& b) {
    Twist middle{};
    for (std::size_t i = 0; i < 3; ++i) {
        middle.linear[i] = 0.5 * (a.linear[i] + b.linear[i]);
        middle.angular[i] = 0.5 * (a.angular[i] + b.angular[i]);
    }
    return middle;
}

}  // namespace

Transform compose(const Transform& a, const Transform& b) {
    Transform product;
    for (std::size_t row = 0; row < 12; row += 4) {
        for (std::size_t column = 0; column < 4; ++column) {
            product[row + column] = a[row] * b[column] + a[row + 1] * b[4 + column] + a[row + 2] * b[8 + column];
        }
        product[row + 3] += a[row + 3];
    }
    return product;
}

Transform inverse(const Transform& rigid) {
    Transform back;
    for (std::size_t row = 0; row < 3; ++row) {
        double shift = 0.0;
        for (std::size_t column = 0; column < 3; ++column) {
            back[4 * row + column] = rigid[4 * column + row];
            shift += rigid[4 * column + row] * rigid[4 * column + 3];
        }
        back[4 * row + 3] = -shift;
    }
    return back;
}

Transform moved(const Twist& twist, double seconds) {
    const Vector3 phi = scaled(twist.angular, seconds), way = scaled(twist.linear, seconds);
    const double angle2 = dot(phi, phi);
    if (angle2 > kHalfTurn2) {
        const Transform half = moved(twist, 0.5 * seconds);
        return compose(half, half);
    }
    const double a = series<1>(angle2), b = series<2>(angle2), c = series<3>(angle2);
    const Vector3 turned = cross(phi, way), twice = cross(phi, turned);
    Transform out;
    for (std::size_t row = 0; row < 3; ++row) {
        for (std::size_t column = 0; column < 3; ++column) {
            out[4 * row + column] = b * phi[row] * phi[column] + (row == column ? 1.0 - b * angle2 : 0.0);
        }
        out[4 * row + 3] = way[row] + b * turned[row] + c * twice[row];
    }
    out[1] -= a * phi[2];
    out[2] += a * phi[1];
    out[4] += a * phi[2];
    out[6] -= a * phi[0];
    out[8] -= a * phi[1];
    out[9] += a * phi[0];
    return out;
}

Twist twist_between(const Pose& from, const Pose& to, double seconds) {
    const auto& [ax, ay, az, aw] = from.rotation;
    const auto& [bx, by, bz, bw] = to.rotation;
    Vector3 v{aw * bx - ax * bw - ay * bz + az * by, aw * by + ax * bz - ay * bw - az * bx,
              aw * bz - ax * by + ay * bx - az * bw};
    double w = aw * bw + ax * bx + ay * by + az * bz;
    const double length = std::sqrt(dot(v, v) + w * w) * (w < 0.0 ? -1.0 : 1.0);
    const Vector3 phi = rotation_vector(scaled(v, 1.0 / length), w / length);
    Vector3 shift;
    for (std::size_t i = 0; i < 3; ++i) {
        shift[i] = to.position[i] - from.position[i];
    }
    const Transform back = inverse(matrix_of({{0.0, 0.0, 0.0}, from.rotation}));
    const Vector3 seen{back[0] * shift[0] + back[1] * shift[1] + back[2] * shift[2],
                       back[4] * shift[0] + back[5] * shift[1] + back[6] * shift[2],
                       back[8] * shift[0] + back[9] * shift[1] + back[10] * shift[2]};
    const double angle2 = dot(phi, phi);
    return {scaled(solve(phi, series<2>(angle2), series<3>(angle2), seen), 1.0 / seconds), scaled(phi, 1.0 / seconds)};
}

Trajectory Trajectory::through_poses(std::vector<double> times_s, const std::vector<Pose>& poses) {
    check_times(times_s, poses.size(), 2);
    std::for_each(poses.begin(), poses.end(), check_pose);
    Trajectory trajectory;
    trajectory.times_s_ = std::move(times_s);
    for (std::size_t k = 1; k < poses.size(); ++k) {
        const double seconds = trajectory.times_s_[k] - trajectory.times_s_[k - 1];
        trajectory.twists_.push_back(twist_between(poses[k - 1], poses[k], seconds));
    }
    trajectory.twists_.insert(trajectory.twists_.begin(), trajectory.twists_.front());
    trajectory.twists_.push_back(trajectory.twists_.back());
    trajectory.link();
    return trajectory;
}

Trajectory Trajectory::along_twists(std::vector<double> times_s, const std::vector<Twist>& twists) {
    check_times(times_s, twists.size(), 1);
    for (const Twist& twist : twists) {
        if (!all_below(twist.linear, kLargestVelocity) || !all_below(twist.angular, kLargestVelocity)) {
            throw std::invalid_argument("velocities must be finite and below 1e4 m/s and rad/s");
        }
    }
    Trajectory trajectory;
    trajectory.times_s_ = std::move(times_s);
    trajectory.twists_.push_back(twists.front());
    for (std::size_t k = 1; k < twists.size(); ++k) {
        trajectory.twists_.push_back(mean(twists[k - 1], twists[k]));
    }
    trajectory.twists_.push_back(twists.back());
    trajectory.link();
    return trajectory;
}

// Poses from twists, also where poses were given: what counts is the motion from one to the next, and far from the
// origin of a map it would drown in their large coordinates.
void Trajectory::link() {
    poses_.push_back({1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0});
    for (std::size_t k = 1; k < times_s_.size(); ++k) {
        poses_.push_back(compose(poses_.back(), moved(twists_[k], times_s_[k] - times_s_[k - 1])));
    }
}

Transform Trajectory::at(double time_s) const {
    const auto after = std::upper_bound(times_s_.begin(), times_s_.end(), time_s);
    const auto piece = static_cast<std::size_t>(after - times_s_.begin());
    const std::size_t from = piece == 0 ? 0 : piece - 1;
    return compose(poses_[from], moved(twists_[piece], time_s - times_s_[from]));
}

double Trajectory::longest_gap_s(double from_s, double to_s) const {
    double longest = 0.0;
    for (std::size_t k = 1; k < times_s_.size(); ++k) {
        if (times_s_[k] > from_s && times_s_[k - 1] < to_s) {
            longest = std::max(longest, times_s_[k] - times_s_[k - 1]);
        }
    }
    return longest;
}

}  // namespace edge
