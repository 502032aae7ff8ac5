#include "projection_loops.hpp"

#include <cmath>
#include <limits>

namespace edge {
namespace {

// Depths are kept as normal floats, of which 0 means no return.
constexpr double kNearest = std::numeric_limits<float>::min();

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
    const bool front = (z > kNearest) & (z < std::numeric_limits<double>::infinity());
    const bool angle = (xn * xn + yn * yn < loop.camera.max_radius2());
    return {u, v, z, static_cast<bool>(real & front & angle)};
}

EDGE_INLINE bool inside(const Window& window, double u, double v) {
    return (u >= window.left) & (u < window.right) & (v >= window.top) & (v < window.bottom);
}

// Cells are chosen among doubles and converted at the end: one element size keeps the loop vectorizable.
template <Lens kLens>
EDGE_INLINE void locate_each(const ProjectionLoop& given, const float* points, std::size_t count, std::int32_t* cells,
                             float* depths) {
    const ProjectionLoop loop = given;
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
        const Projected at = project<kLens>(loop, points + 4 * i);
        const bool seen = at.good & inside(loop.window, at.u, at.v) & (at.z <= loop.z_max);
        const double cell = std::floor(at.v + 0.5) * loop.columns + std::floor(at.u + 0.5);
        cells[i] = static_cast<std::int32_t>(seen ? cell : -1.0);
        depths[i] = static_cast<float>(at.z);
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

EDGE_CLONES bool any_between(const HalfSpace& left, const HalfSpace& right, const float* points, std::size_t count) {
    const HalfSpace l = left, r = right;
    std::int32_t found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const float x = points[4 * i], y = points[4 * i + 1], z = points[4 * i + 2];
        const float inside_left = l[0] * x + l[1] * y + l[2] * z + l[3];
        const float inside_right = r[0] * x + r[1] * y + r[2] * z + r[3];
        found += (inside_left > 0.0F) & (inside_right > 0.0F) ? 1 : 0;
    }
    return found > 0;
}

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
