// Pinhole camera with OpenCV's lens distortion, cut where the radial polynomial stops being monotonic.
#pragma once

#include <array>
#include <vector>

#include "edge/dispatch.hpp"

namespace edge {

enum class Lens { kNone, kPlumbBob, kRational, kFisheye };

struct Point2 {
    double x;
    double y;
};

// Intrinsics in pixels (centres at integers). Coefficients are padded with zeros: k1 k2 p1 p2 k3 k4 k5 k6, or
// k1 k2 k3 k4 for a fisheye lens.
class Camera {
 public:
    // Throws std::invalid_argument on a wrong number of coefficients or a focal length that is not positive.
    Camera(double fx, double fy, double cx, double cy, Lens lens, const std::vector<double>& coefficients);

    Lens lens() const { return lens_; }
    double fx() const { return fx_; }
    double fy() const { return fy_; }
    double cx() const { return cx_; }
    double cy() const { return cy_; }
    const std::array<double, 8>& coefficients() const { return k_; }

    // Largest squared radius x^2 + y^2 on the plane z = 1 up to which the distortion is monotonic.
    double max_radius2() const { return max_radius2_; }

    // Distorted position of the direction (x, y, 1), on the plane z = 1.
    Point2 distort(Point2 ideal) const;

    // The direction (x, y, 1) whose image is the pixel (u, v): the inverse of projection. A pixel outside what the
    // lens can image gives the nearest direction at the valid limit.
    Point2 undistort(Point2 pixel) const;

    // No direction whose radius (at z = 1) is larger is imaged within `distorted` of the optical axis, where that is
    // the distance on the distorted plane z = 1; infinity where there is no such bound. Not tight, but safe.
    double reach(double distorted) const;

 private:
    double radial(double radius) const;
    double radius_from_distorted(double distorted) const;

    double fx_, fy_, cx_, cy_;
    Lens lens_;
    std::array<double, 8> k_{};
    double max_radius2_;
};

// https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html and .../d0d/group__calib3d__fisheye.html
template <Lens kLens>
EDGE_INLINE Point2 distort_ideal(const std::array<double, 8>& k, double x, double y);

}  // namespace edge

#include "edge/camera_inline.hpp"
