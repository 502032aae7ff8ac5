#include "edge/projection.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "projection_loops.hpp"

namespace edge {
namespace {

float clip(double value, double low, double high) {
    return static_cast<float>(std::min(std::max(value, low), high));
}

// A reflectance that is no number counts as 0.
float reflectance_of(const float* point) { return point[3] > 0.0F ? std::min(point[3], 1.0F) : 0.0F; }

}  // namespace

void project_points(const Camera& camera, const Transform& camera_from_lidar, const Window& window, Points points,
                    float* uvz, std::uint8_t* visible) {
    pixels({camera, camera_from_lidar, window, 0, 0.0F}, points.data, points.count, uvz, visible);
}

struct LidarView::Hits {
    float* depth;          // the view's first channel, 0 where there is no return yet
    std::uint32_t* point;  // who holds the cell; set only where depth is not 0
};

LidarView::LidarView(const Camera& camera, const Transform& camera_from_lidar, const std::array<double, 4>& base_z,
                     const ViewScale& scale, int rows, int columns, const Window& window)
    : camera_(camera),
      camera_from_lidar_(camera_from_lidar),
      base_z_(base_z),
      scale_(scale),
      rows_(rows),
      columns_(columns),
      depth_gain_(2.0 / std::log(scale.z_max / scale.z_min)) {
    if (rows < 1 || columns < 1) {
        throw std::invalid_argument("the view must have at least one row and one column");
    }
    if (!(scale.z_min > 0.0 && scale.z_max > scale.z_min && scale.height_max > scale.height_min)) {
        throw std::invalid_argument("the depth range must be positive and both ranges ascending");
    }
    window_ = {std::max(window.left, -0.5), std::max(window.top, -0.5), std::min(window.right, columns - 0.5),
               std::min(window.bottom, rows - 0.5)};
}

void LidarView::fill(Points points, float* view) const {
    const std::size_t cells = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_);
    std::fill_n(view, 4 * cells, 0.0F);
    const std::unique_ptr<std::uint32_t[]> holders(new std::uint32_t[cells]);
    Hits hits{view, holders.get()};
    keep_nearest(points, hits);
    for (std::size_t cell = 0; cell < cells; ++cell) {
        if (view[cell] != 0.0F) {
            write_cell(points.data + 4 * std::size_t{holders[cell]}, view[cell], cell, view);
        }
    }
}

void LidarView::keep_nearest(Points points, Hits& hits) const {
    const ProjectionLoop loop{camera_, camera_from_lidar_, window_, columns_, static_cast<float>(scale_.z_max)};
    std::array<std::int32_t, kBlock> cells;
    std::array<float, kBlock> depths;
    for (std::size_t start = 0; start < points.count; start += kBlock) {
        const std::size_t count = std::min(kBlock, points.count - start);
        locate(loop, points.data + 4 * start, count, cells.data(), depths.data());
        for (std::size_t i = 0; i < count; ++i) {
            if (cells[i] < 0) {
                continue;
            }
            const auto cell = static_cast<std::size_t>(cells[i]);
            const float held = hits.depth[cell];
            const float* challenger = points.data + 4 * (start + i);
            if (held == 0.0F || depths[i] < held ||
                (depths[i] == held && wins_tie(challenger, points.data + 4 * std::size_t{hits.point[cell]}))) {
                hits.depth[cell] = depths[i];
                hits.point[cell] = static_cast<std::uint32_t>(start + i);
            }
        }
    }
}

// Of two points at exactly the same depth the more reflective wins, then the higher: the view must not depend on the
// order of the points.
bool LidarView::wins_tie(const float* challenger, const float* holder) const {
    const float ours = reflectance_of(challenger);
    const float theirs = reflectance_of(holder);
    return ours != theirs ? ours > theirs : height_code(challenger) > height_code(holder);
}

float LidarView::height_code(const float* point) const {
    const double height = base_z_[0] * static_cast<double>(point[0]) + base_z_[1] * static_cast<double>(point[1]) +
                          base_z_[2] * static_cast<double>(point[2]) + base_z_[3];
    const double middle = 0.5 * (scale_.height_min + scale_.height_max);
    return clip((height - middle) / (scale_.height_max - middle), -1.0, 1.0);
}

void LidarView::write_cell(const float* point, float depth, std::size_t cell, float* view) const {
    const std::size_t plane = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_);
    view[cell] = clip(depth_gain_ * std::log(static_cast<double>(depth) / scale_.z_min) - 1.0, -1.0, 1.0);
    view[plane + cell] = height_code(point);
    view[2 * plane + cell] = 2.0F * reflectance_of(point) - 1.0F;
    view[3 * plane + cell] = 1.0F;
}

}  // namespace edge
