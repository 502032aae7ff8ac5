// Lidar deskew: brings every point of a sweep to one instant, by the motion of the sensor meanwhile.
#pragma once

#include <cstddef>

#include "edge/motion.hpp"
#include "edge/projection.hpp"

namespace edge {

enum class DeskewOutcome {
    kDone,
    kNoTimes,       // no point has a time that is finite
    kBeforeMotion,  // an instant lies too far before the first motion sample
    kAfterMotion,   // or too far after the last one
    kMotionGap,     // or two motion samples around it are too far apart
};

struct Deskewed {
    DeskewOutcome outcome;
    std::size_t timeless;  // points kept where they were, since their time is not finite
};

// How far an instant may be from the next motion sample; between two samples half of their distance counts.
struct MotionReach {
    double seconds;
};

// Writes the points as the sensor would have seen them at `target_s`, had they not moved. Nothing is written unless
// the outcome is kDone.
//
// `offsets_s` is the time of each point on the axis of the trajectory's times; any order. Points with a coordinate
// that is not finite, zero returns (x = y = z = 0) and points without a finite time are copied as they are, and
// reflectance always is. `moved` receives [N, 4] and must not overlap `points`.
//
// The sweep is cut into slices of 0.2 ms at most; the motion is exact where they meet and linear between. At 100 m
// and 3 rad/s that is 5 micrometres off; where a motion sample lies within a slice, 5 mm for each rad/s by which the
// rate of turn changes there.
Deskewed deskew(const Trajectory& motion, const Transform& motion_from_sensor, double target_s, MotionReach reach,
                Points points, const float* offsets_s, float* moved);

}  // namespace edge
