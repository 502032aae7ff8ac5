#include "projection_loops.hpp"

#include <cmath>
#include <limits>

namespace edge {
namespace {

struct Projected {
    double u;
    double v;
    double z;
    bool good;
};

template <Lens kLens>
EDGE_INLINE Projected project(const ProjectionLoop& loop, const float* point) {
    const Transform& T = loop.transform;
    const double px = point[0], py = point[1], pz = point[2];
    const double x = T[0] * px + T[1] * py + T[2] * pz + T[3];
    const double y = T[4] * px + T[5] * py + T[6] * pz + T[7];
    const double z = T[8] * px + T[9] * py + T[10] * pz + T[11];
    const double inverse = 1.0 / z;
    const double xn = x * inverse, yn = y * inverse;
    const Point2 bent = distort_ideal<kLens>(loop.camera.coefficients(), xn, yn);
    const double u = loop.camera.fx() * bent.x + loop.camera.cx();
    const double v = loop.camera.fy() * bent.y + loop.camera.cy();
    // Bitwise, not short-circuit: every term is cheap and branches would keep the loop scalar. A NaN fails a test.
    const bool real = (px != 0.0) | (py != 0.0) | (pz != 0.0);
    const bool front = (z > 0.0) & (z < std::numeric_limits<double>::infinity());
    const bool angle = (xn * xn + yn * yn < loop.camera.max_radius2());
    return {u, v, z, static_cast<bool>(real & front & angle)};
}

EDGE_INLINE bool inside(const Window& window, double u, double v) {
    return (u >= window.left) & (u < window.right) & (v >= window.top) & (v < window.bottom);
}

template <Lens kLens>
EDGE_INLINE void locate_each(const ProjectionLoop& loop, const float* points, std::size_t count, std::int32_t* cells,
                             float* depths) {
    for (std::size_t i = 0; i < count; ++i) {
        const Projected at = project<kLens>(loop, points + 4 * i);
        const float depth = static_cast<float>(at.z);
        const bool seen = at.good & inside(loop.window, at.u, at.v) & (depth <= loop.z_max) & (depth > 0.0F);
        // u + 0.5 is never negative here, so truncation is floor, and floor(u + 0.5) rounds to the nearest centre.
        const int column = static_cast<int>(seen ? at.u + 0.5 : 0.0);
        const int row = static_cast<int>(seen ? at.v + 0.5 : 0.0);
        cells[i] = seen ? row * loop.columns + column : -1;
        depths[i] = depth;
    }
}

template <Lens kLens>
EDGE_INLINE void pixels_each(const ProjectionLoop& loop, const float* points, std::size_t count, float* uvz,
                             std::uint8_t* visible) {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    for (std::size_t i = 0; i < count; ++i) {
        const Projected at = project<kLens>(loop, points + 4 * i);
        const bool good = at.good & std::isfinite(at.u) & std::isfinite(at.v);
        uvz[3 * i] = good ? static_cast<float>(at.u) : kNan;
        uvz[3 * i + 1] = good ? static_cast<float>(at.v) : kNan;
        uvz[3 * i + 2] = good ? static_cast<float>(at.z) : kNan;
        visible[i] = good & inside(loop.window, at.u, at.v);
    }
}

// target_clones needs plain functions, so each lens has one by name.
EDGE_CLONES void locate_none(const ProjectionLoop& l, const float* p, std::size_t n, std::int32_t* c, float* d) {
    locate_each<Lens::kNone>(l, p, n, c, d);
}
EDGE_CLONES void locate_plumb_bob(const ProjectionLoop& l, const float* p, std::size_t n, std::int32_t* c, float* d) {
    locate_each<Lens::kPlumbBob>(l, p, n, c, d);
}
EDGE_CLONES void locate_rational(const ProjectionLoop& l, const float* p, std::size_t n, std::int32_t* c, float* d) {
    locate_each<Lens::kRational>(l, p, n, c, d);
}

}  // namespace

void locate(const ProjectionLoop& loop, const float* points, std::size_t count, std::int32_t* cells, float* depths) {
    switch (loop.camera.lens()) {
        case Lens::kNone:
            return locate_none(loop, points, count, cells, depths);
        case Lens::kPlumbBob:
            return locate_plumb_bob(loop, points, count, cells, depths);
        case Lens::kRational:
            return locate_rational(loop, points, count, cells, depths);
        case Lens::kFisheye:
            return locate_each<Lens::kFisheye>(loop, points, count, cells, depths);
    }
}

void pixels(const ProjectionLoop& loop, const float* points, std::size_t count, float* uvz, std::uint8_t* visible) {
    switch (loop.camera.lens()) {
        case Lens::kNone:
            return pixels_each<Lens::kNone>(loop, points, count, uvz, visible);
        case Lens::kPlumbBob:
            return pixels_each<Lens::kPlumbBob>(loop, points, count, uvz, visible);
        case Lens::kRational:
            return pixels_each<Lens::kRational>(loop, points, count, uvz, visible);
        case Lens::kFisheye:
            return pixels_each<Lens::kFisheye>(loop, points, count, uvz, visible);
    }
}

}  // namespace edge
