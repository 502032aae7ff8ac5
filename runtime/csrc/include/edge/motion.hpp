// How a sensor moved: poses or velocities at a few instants, and the pose at any other.
//
// Only basic operations and square roots, no library function: they alone give the same bits on every host.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "edge/projection.hpp"

namespace edge {

using Vector3 = std::array<double, 3>;

// Velocities of a frame, expressed in that frame: m/s and rad/s.
struct Twist {
    Vector3 linear;
    Vector3 angular;
};

// A rigid pose: position (m) and unit quaternion x, y, z, w.
struct Pose {
    Vector3 position;
    std::array<double, 4> rotation;
};

// First `b`, then `a`.
Transform compose(const Transform& a, const Transform& b);
Transform inverse(const Transform& rigid);

// Where a frame is after `seconds` of a constant twist, seen from where it was: a piece of a screw.
Transform moved(const Twist& twist, double seconds);

// The constant twist that carries the frame of `from` into that of `to` within `seconds`, by the shorter turn.
Twist twist_between(const Pose& from, const Pose& to, double seconds);

// Piecewise constant twist. Immutable, hence re-entrant.
class Trajectory {
 public:
    // Through poses: between two of them a screw, which is the slerp of the rotation with the arc of the position
    // that belongs to it; beyond the ends the nearest screw goes on. Throws std::invalid_argument unless there are at
    // least two, at increasing times, finite and of unit length within 1e-3.
    static Trajectory through_poses(std::vector<double> times_s, const std::vector<Pose>& poses);

    // Along measured twists: between two of them their mean, beyond the ends the outermost. Throws
    // std::invalid_argument unless there is at least one, at increasing times, with finite values below 1e4.
    static Trajectory along_twists(std::vector<double> times_s, const std::vector<Twist>& twists);

    // Pose of the frame in that of the first sample.
    Transform at(double time_s) const;

    double first_s() const { return times_s_.front(); }
    double last_s() const { return times_s_.back(); }

    // The longest time between two samples next to each other, of those that [from_s, to_s] touches.
    double longest_gap_s(double from_s, double to_s) const;

 private:
    Trajectory() = default;
    void link();

    std::vector<double> times_s_;
    std::vector<Transform> poses_;
    std::vector<Twist> twists_;  // [k] holds until times_s_[k], the last one after the end
};

}  // namespace edge
