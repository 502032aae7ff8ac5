// The loops over points, one instance per lens so that the compiler can vectorize each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "edge/projection.hpp"

namespace edge {

struct ProjectionLoop {
    Camera camera;
    Transform transform;
    Window window;
    double columns;
    double z_max;
};

// Points tested together: short, so that few that are not seen are located with those that are.
constexpr std::size_t kBlock = 64;

// Whether any of the points lies between the two planes `left` and `right` (coefficients of x, y, z, 1; positive
// is inside): a sweep's points come in the order of their angle, so most of those beside and behind the view can
// be skipped together.
bool any_between(const HalfSpace& left, const HalfSpace& right, const float* points, std::size_t count);

// Cell of each point (row-major, -1 where it is not seen) and its optical depth.
void locate(const ProjectionLoop& loop, const float* points, std::size_t count, std::int32_t* cells, float* depths);

// u, v, z of each point, NaN where it does not project.
void pixels(const ProjectionLoop& loop, const float* points, std::size_t count, float* uvz, std::uint8_t* visible);

}  // namespace edge
