#include "edge/projection.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "edge/natural_log.hpp"
#include "projection_loops.hpp"

namespace edge {
namespace {

// A reflectance that is no number counts as 0.
float reflectance_of(const float* point) { return point[3] > 0.0F ? std::min(point[3], 1.0F) : 0.0F; }

float clip(float value) { return std::min(std::max(value, -1.0F), 1.0F); }

// Depths to codes, in place.
EDGE_CLONES void encode_depths(float* depths, std::size_t count, float nearest, float gain) {
    for (std::size_t i = 0; i < count; ++i) {
        depths[i] = std::min(std::max(gain * natural_log(depths[i] / nearest) - 1.0F, -1.0F), 1.0F);
    }
}

}  // namespace

void project_points(const Camera& camera, const Transform& camera_from_lidar, const Window& window, Points points,
                    float* uvz, std::uint8_t* visible) {
    pixels({camera, camera_from_lidar, window, 0.0, 0.0}, points.data, points.count, uvz, visible);
}

struct LidarView::Hits {
    float* depth;           // the view's first channel, 0 where there is no return yet
    std::uint32_t* holder;  // index of the point that holds the cell; set only where depth is not 0
    std::uint32_t* cells;   // cells with a return
    std::size_t count;
};

LidarView::LidarView(const Camera& camera, const Transform& camera_from_lidar, const std::array<double, 4>& base_z,
                     const ViewScale& scale, int rows, int columns, const Window& window)
    : camera_(camera),
      camera_from_lidar_(camera_from_lidar),
      base_z_(base_z),
      scale_(scale),
      rows_(rows),
      columns_(columns),
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
}

void LidarView::fill(Points points, float* view) const {
    const std::size_t cells = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_);
    std::fill_n(view, 4 * cells, 0.0F);
    const std::unique_ptr<std::uint32_t[]> scratch(new std::uint32_t[2 * cells]);
    Hits hits{view, scratch.get(), scratch.get() + cells, 0};
    keep_nearest(points, hits);
    write_cells(points.data, hits, view);
}

void LidarView::keep_nearest(Points points, Hits& hits) const {
    const ProjectionLoop loop{camera_, camera_from_lidar_, window_, static_cast<double>(columns_), scale_.z_max};
    std::array<std::int32_t, kBlock> cells;
    std::array<float, kBlock> depths;
    for (std::size_t start = 0; start < points.count; start += kBlock) {
        const std::size_t count = std::min(kBlock, points.count - start);
        if (!any_in_front(loop, points.data + 4 * start, count)) {
            continue;
        }
        locate(loop, points.data + 4 * start, count, cells.data(), depths.data());
        for (std::size_t i = 0; i < count; ++i) {
            if (cells[i] >= 0) {
                keep(points.data, start + i, depths[i], static_cast<std::size_t>(cells[i]), hits);
            }
        }
    }
}

void LidarView::keep(const float* points, std::size_t index, float depth, std::size_t cell, Hits& hits) const {
    const float held = hits.depth[cell];
    if (held == 0.0F) {
        hits.cells[hits.count++] = static_cast<std::uint32_t>(cell);
    } else if (depth > held ||
               (depth == held && !wins_tie(points + 4 * index, points + 4 * std::size_t{hits.holder[cell]}))) {
        return;
    }
    hits.depth[cell] = depth;
    hits.holder[cell] = static_cast<std::uint32_t>(index);
}

// Of two points at exactly the same depth the more reflective wins, then the higher: the view must not depend on
// the order of the points.
bool LidarView::wins_tie(const float* challenger, const float* holder) const {
    const float ours = reflectance_of(challenger);
    const float theirs = reflectance_of(holder);
    return ours != theirs ? ours > theirs : height_code(challenger) > height_code(holder);
}

float LidarView::height_code(const float* point) const {
    const double height = base_z_[0] * static_cast<double>(point[0]) + base_z_[1] * static_cast<double>(point[1]) +
                          base_z_[2] * static_cast<double>(point[2]) + base_z_[3];
    return clip(static_cast<float>((height - height_middle_) * height_gain_));
}

void LidarView::write_cells(const float* points, const Hits& hits, float* view) const {
    const std::size_t plane = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_);
    std::array<float, kBlock> depths;
    for (std::size_t start = 0; start < hits.count; start += kBlock) {
        const std::size_t count = std::min(kBlock, hits.count - start);
        const std::uint32_t* cells = hits.cells + start;
        for (std::size_t i = 0; i < count; ++i) {
            depths[i] = hits.depth[cells[i]];
        }
        encode_depths(depths.data(), count, static_cast<float>(scale_.z_min), depth_gain_);
        for (std::size_t i = 0; i < count; ++i) {
            const float* point = points + 4 * std::size_t{hits.holder[cells[i]]};
            view[cells[i]] = depths[i];
            view[plane + cells[i]] = height_code(point);
            view[2 * plane + cells[i]] = 2.0F * reflectance_of(point) - 1.0F;
            view[3 * plane + cells[i]] = 1.0F;
        }
    }
}

}  // namespace edge
