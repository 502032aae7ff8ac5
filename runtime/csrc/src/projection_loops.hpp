// The loops over points, one instance per lens so that the compiler can vectorize each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "edge/projection.hpp"

namespace edge {

struct ProjectionLoop {
    const Camera& camera;
    const Transform& transform;
    Window window;
    int columns;
    float z_max;
};

constexpr std::size_t kBlock = 512;

// Cell of each point (row-major, -1 where it is not seen) and its optical depth.
void locate(const ProjectionLoop& loop, const float* points, std::size_t count, std::int32_t* cells, float* depths);

// u, v, z of each point, NaN where it does not project.
void pixels(const ProjectionLoop& loop, const float* points, std::size_t count, float* uvz, std::uint8_t* visible);

}  // namespace edge
