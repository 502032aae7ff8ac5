#include "edge/projection.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "edge/natural_log.hpp"
#include "projection_loops.hpp"

namespace edge {
namespace {

// A reflectance that is no number counts as 0.
float reflectance_of(const float* point) { return point[3] > 0.0F ? std::min(point[3], 1.0F) : 0.0F; }

EDGE_INLINE float height_code(const std::array<double, 4>& base_z, double middle, double gain, float x, float y,
                              float z) {
    const double height = base_z[0] * static_cast<double>(x) + base_z[1] * static_cast<double>(y) +
                          base_z[2] * static_cast<double>(z) + base_z[3];
    return std::min(std::max(static_cast<float>((height - middle) * gain), -1.0F), 1.0F);
}

std::size_t index_of(float holder) {
    std::uint32_t index;
    std::memcpy(&index, &holder, sizeof(index));
    return index;
}

EDGE_CLONES bool any_depth(const float* depths, std::size_t count) {
    std::int32_t found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        found |= depths[i] != 0.0F ? 1 : 0;
    }
    return found != 0;
}

// Cells encoded together: few enough that most runs without a return are skipped.
constexpr std::size_t kCells = 64;

// What the cells with a return hold: their depths and points, one array a coordinate so that loops vectorize.
struct Hits {
    std::array<float, kCells> depths, x, y, z;
};

// Depths to codes, in place.
EDGE_CLONES void encode_depths(float* depths, std::size_t count, float nearest, float gain) {
    for (std::size_t i = 0; i < count; ++i) {
        depths[i] = std::min(std::max(gain * natural_log(depths[i] / nearest) - 1.0F, -1.0F), 1.0F);
    }
}

// Heights above `middle` to codes, into z.
EDGE_CLONES void encode_heights(const std::array<double, 4>& base_z, double middle, double gain, std::size_t count,
                                Hits& hits) {
    for (std::size_t i = 0; i < count; ++i) {
        hits.z[i] = height_code(base_z, middle, gain, hits.x[i], hits.y[i], hits.z[i]);
    }
}

}  // namespace

void project_points(const Camera& camera, const Transform& camera_from_lidar, const Window& window, Points points,
                    float* uvz, std::uint8_t* visible) {
    pixels({camera, camera_from_lidar, window, 0.0, 0.0}, points.data, points.count, uvz, visible);
}

LidarView::LidarView(const Camera& camera, const Transform& camera_from_lidar, const std::array<double, 4>& base_z,
                     const ViewScale& scale, int rows, int columns, const Window& window)
    : camera_(camera),
      camera_from_lidar_(camera_from_lidar),
      base_z_(base_z),
      scale_(scale),
      rows_(rows),
      columns_(columns),
      plane_(static_cast<std::size_t>(std::max(rows, 0)) * static_cast<std::size_t>(std::max(columns, 0))),
      depth_gain_(static_cast<float>(2.0 / std::log(scale.z_max / scale.z_min))),
      height_middle_(0.5 * (scale.height_min + scale.height_max)),
      height_gain_(2.0 / (scale.height_max - scale.height_min)) {
    if (rows < 1 || columns < 1) {
        throw std::invalid_argument("the view must have at least one row and one column");
    }
    if (!(scale.z_min > 0.0 && scale.z_max > scale.z_min && scale.height_max > scale.height_min)) {
        throw std::invalid_argument("the depth range must be positive and both ranges ascending");
    }
    window_ = {std::max(window.left, -0.5), std::max(window.top, -0.5), std::min(window.right, columns - 0.5),
               std::min(window.bottom, rows - 0.5)};
    bound_sides();
}

// Two upright planes through the camera that hold all that it can see. They are moved outwards by much more than
// single precision can get wrong for a point within the depth range.
void LidarView::bound_sides() {
    const Transform& T = camera_from_lidar_;
    double distorted = 0.0;
    for (const double u : {window_.left, window_.right}) {
        for (const double v : {window_.top, window_.bottom}) {
            const double x = (u - camera_.cx()) / camera_.fx(), y = (v - camera_.cy()) / camera_.fy();
            distorted = std::max(distorted, std::hypot(x, y));
        }
    }
    const double reach = camera_.reach(distorted);
    left_ = right_ = {0.0F, 0.0F, 0.0F, 1.0F};
    if (!std::isfinite(reach)) {
        return;
    }
    const double farthest = (1.0 + reach) * scale_.z_max + std::hypot(T[3], T[7], T[11]);
    const double room = 1e-5 * (1.0 + reach) * farthest;
    for (std::size_t i = 0; i < 4; ++i) {
        const double outwards = reach * T[8 + i] + (i == 3 ? room : 0.0);
        left_[i] = static_cast<float>(outwards + T[i]);
        right_[i] = static_cast<float>(outwards - T[i]);
    }
}

void LidarView::fill(Points points, float* view) const {
    std::fill_n(view, 4 * plane_, 0.0F);
    keep_nearest(points, view);
    for (std::size_t start = 0; start < plane_; start += kCells) {
        const std::size_t count = std::min(kCells, plane_ - start);
        if (any_depth(view + start, count)) {
            encode_block(points.data, start, count, view);
        }
    }
}

// Until the cells are encoded, the first channel holds depths (0: no return yet) and the second the bits of the
// index of the point that holds the cell: a view needs no other memory.
void LidarView::keep_nearest(Points points, float* view) const {
    const ProjectionLoop loop{camera_, camera_from_lidar_, window_, static_cast<double>(columns_), scale_.z_max};
    std::array<std::int32_t, kBlock> cells;
    std::array<float, kBlock> depths;
    for (std::size_t start = 0; start < points.count; start += kBlock) {
        const std::size_t count = std::min(kBlock, points.count - start);
        if (!any_between(left_, right_, points.data + 4 * start, count)) {
            continue;
        }
        locate(loop, points.data + 4 * start, count, cells.data(), depths.data());
        for (std::size_t i = 0; i < count; ++i) {
            if (cells[i] >= 0) {
                keep(points.data, start + i, depths[i], static_cast<std::size_t>(cells[i]), view);
            }
        }
    }
}

void LidarView::keep(const float* points, std::size_t index, float depth, std::size_t cell, float* view) const {
    const float held = view[cell];
    float* holder = view + plane_ + cell;
    if (held != 0.0F &&
        (depth > held || (depth == held && !wins_tie(points + 4 * index, points + 4 * index_of(*holder))))) {
        return;
    }
    view[cell] = depth;
    const auto bits = static_cast<std::uint32_t>(index);
    std::memcpy(holder, &bits, sizeof(bits));
}

// Of two points at exactly the same depth the more reflective wins, then the higher: the view must not depend on
// the order of the points.
bool LidarView::wins_tie(const float* challenger, const float* holder) const {
    const float ours = reflectance_of(challenger);
    const float theirs = reflectance_of(holder);
    return ours != theirs ? ours > theirs : height_code(challenger) > height_code(holder);
}

float LidarView::height_code(const float* point) const {
    return edge::height_code(base_z_, height_middle_, height_gain_, point[0], point[1], point[2]);
}

void LidarView::encode_block(const float* points, std::size_t start, std::size_t count, float* view) const {
    std::array<std::size_t, kCells> cells;
    std::array<const float*, kCells> nearest;
    Hits hits;
    std::size_t found = 0;
    for (std::size_t cell = start; cell < start + count; ++cell) {
        cells[found] = cell;
        found += view[cell] > 0.0F ? 1 : 0;
    }
    for (std::size_t i = 0; i < found; ++i) {
        hits.depths[i] = view[cells[i]];
        nearest[i] = points + 4 * index_of(view[plane_ + cells[i]]);
        EDGE_PREFETCH(nearest[i]);
    }
    for (std::size_t i = 0; i < found; ++i) {
        hits.x[i] = nearest[i][0];
        hits.y[i] = nearest[i][1];
        hits.z[i] = nearest[i][2];
    }
    encode_depths(hits.depths.data(), found, static_cast<float>(scale_.z_min), depth_gain_);
    encode_heights(base_z_, height_middle_, height_gain_, found, hits);
    for (std::size_t i = 0; i < found; ++i) {
        float* cell = view + cells[i];
        cell[0] = hits.depths[i];
        cell[plane_] = hits.z[i];
        cell[2 * plane_] = 2.0F * reflectance_of(nearest[i]) - 1.0F;
        cell[3 * plane_] = 1.0F;
    }
}

}  // namespace edge
