// Lidar points into a camera: pixels for overlays, and the dense view that feeds a model.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "edge/camera.hpp"

namespace edge {

// Rows 0-2 of a rigid transform, row-major.
using Transform = std::array<double, 12>;

// Coefficients of x, y, z, 1 in the points' frame: positive inside.
using HalfSpace = std::array<float, 4>;

// N points of x, y, z (m, sensor frame) and reflectance, packed.
struct Points {
    const float* data;
    std::size_t count;
};

// A window of the image in pixels, as edges: what a pixel's centre must lie in to be seen.
struct Window {
    double left;
    double top;
    double right;
    double bottom;
};

// Pixels of points. `uvz` receives [N, 3] u, v (px) and optical depth (m): NaN where a point does not project (not
// finite, a zero return, not in front of the camera, beyond the lens' valid angle). `visible` receives [N] 1 where
// it projects inside `window`.
void project_points(const Camera& camera, const Transform& camera_from_lidar, const Window& window, Points points,
                    float* uvz, std::uint8_t* visible);

// What the channels of the lidar view mean.
struct ViewScale {
    double z_min;
    double z_max;
    double height_min;
    double height_max;
};

// The sweep seen by the camera: [4, rows, columns] depth code, height, reflectance, mask. Immutable, hence
// re-entrant.
class LidarView {
 public:
    // `base_z` is the row of T_base_from_lidar that gives the height. Throws std::invalid_argument on an empty or
    // reversed range or an empty view.
    LidarView(const Camera& camera, const Transform& camera_from_lidar, const std::array<double, 4>& base_z,
              const ViewScale& scale, int rows, int columns, const Window& window);

    void fill(Points points, float* view) const;

    int rows() const { return rows_; }
    int columns() const { return columns_; }

 private:
    void bound_sides();
    void keep_nearest(Points points, float* view) const;
    void keep(const float* points, std::size_t index, float depth, std::size_t cell, float* view) const;
    void encode_block(const float* points, std::size_t start, std::size_t count, float* view) const;
    bool wins_tie(const float* challenger, const float* holder) const;
    float height_code(const float* point) const;

    Camera camera_;
    Transform camera_from_lidar_;
    std::array<double, 4> base_z_;
    ViewScale scale_;
    int rows_;
    int columns_;
    std::size_t plane_;
    Window window_;
    HalfSpace left_{};
    HalfSpace right_{};
    float depth_gain_;
    double height_middle_;
    double height_gain_;
};

}  // namespace edge
