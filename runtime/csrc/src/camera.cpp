#include "edge/camera.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace edge {
namespace {

constexpr double kHalfPi = 1.57079632679489661923;
constexpr int kScanSteps = 20000;
constexpr int kBisections = 60;

// Sign of d(distorted radius) / d(radius); at or below zero the image folds back.
double slope(Lens lens, const std::array<double, 8>& k, double theta) {
    if (lens == Lens::kFisheye) {
        const double s = theta * theta;
        return 1.0 + s * (3.0 * k[0] + s * (5.0 * k[1] + s * (7.0 * k[2] + s * 9.0 * k[3])));
    }
    const double tangent = std::tan(theta);
    const double s = tangent * tangent;
    const double top = 1.0 + s * (k[0] + s * (k[1] + s * k[4]));
    const double top_slope = k[0] + s * (2.0 * k[1] + s * 3.0 * k[4]);
    const double bottom = 1.0 + s * (k[5] + s * (k[6] + s * k[7]));
    const double bottom_slope = k[5] + s * (2.0 * k[6] + s * 3.0 * k[7]);
    if (!(bottom > 0.0)) {
        return -1.0;
    }
    return (top + 2.0 * s * top_slope) * bottom - 2.0 * s * top * bottom_slope;
}

double first_fold(Lens lens, const std::array<double, 8>& k) {
    double good = 0.0;
    for (int step = 1; step < kScanSteps; ++step) {
        double bad = kHalfPi * step / kScanSteps;
        if (slope(lens, k, bad) > 0.0) {
            good = bad;
            continue;
        }
        for (int i = 0; i < kBisections; ++i) {
            const double middle = 0.5 * (good + bad);
            (slope(lens, k, middle) > 0.0 ? good : bad) = middle;
        }
        return good;
    }
    return kHalfPi;
}

double find_max_radius2(Lens lens, const std::array<double, 8>& k) {
    const double fold = lens == Lens::kNone ? kHalfPi : first_fold(lens, k);
    if (fold >= kHalfPi) {
        return std::numeric_limits<double>::infinity();
    }
    return std::tan(fold) * std::tan(fold);
}

bool count_fits(Lens lens, std::size_t count) {
    switch (lens) {
        case Lens::kNone:
            return count == 0;
        case Lens::kPlumbBob:
            return count == 4 || count == 5;
        case Lens::kRational:
            return count == 8;
        case Lens::kFisheye:
            return count == 4;
    }
    return false;
}

}  // namespace

Camera::Camera(double fx, double fy, double cx, double cy, Lens lens, const std::vector<double>& coefficients)
    : fx_(fx), fy_(fy), cx_(cx), cy_(cy), lens_(lens) {
    if (!(fx > 0.0) || !(fy > 0.0) || !std::isfinite(fx + fy + cx + cy)) {
        throw std::invalid_argument("focal lengths must be positive and all intrinsics finite");
    }
    if (!count_fits(lens, coefficients.size())) {
        throw std::invalid_argument("wrong number of distortion coefficients: " + std::to_string(coefficients.size()));
    }
    std::copy(coefficients.begin(), coefficients.end(), k_.begin());
    max_radius2_ = find_max_radius2(lens, k_);
}

Point2 Camera::distort(Point2 ideal) const {
    switch (lens_) {
        case Lens::kPlumbBob:
            return distort_ideal<Lens::kPlumbBob>(k_, ideal.x, ideal.y);
        case Lens::kRational:
            return distort_ideal<Lens::kRational>(k_, ideal.x, ideal.y);
        case Lens::kFisheye:
            return distort_ideal<Lens::kFisheye>(k_, ideal.x, ideal.y);
        case Lens::kNone:
            break;
    }
    return ideal;
}

// Distorted radius, without the tangential part.
double Camera::radial(double radius) const {
    std::array<double, 8> k = k_;
    if (lens_ != Lens::kFisheye) {
        k[2] = k[3] = 0.0;
    }
    switch (lens_) {
        case Lens::kPlumbBob:
            return distort_ideal<Lens::kPlumbBob>(k, radius, 0.0).x;
        case Lens::kRational:
            return distort_ideal<Lens::kRational>(k, radius, 0.0).x;
        case Lens::kFisheye:
            return distort_ideal<Lens::kFisheye>(k, radius, 0.0).x;
        case Lens::kNone:
            break;
    }
    return radius;
}

double Camera::reach(double distorted) const {
    constexpr int kSteps = 2000;
    // |(2 p1 xy + p2 (r^2 + 2 x^2), p1 (r^2 + 2 y^2) + 2 p2 xy)| <= 4 (|p1| + |p2|) r^2
    const double tangential = lens_ == Lens::kFisheye ? 0.0 : 4.0 * (std::fabs(k_[2]) + std::fabs(k_[3]));
    int last = 0;
    for (int step = 1; step < kSteps; ++step) {
        const double radius = std::tan(kHalfPi * step / kSteps);
        const bool valid = radius * radius <= max_radius2_;
        last = valid && radial(radius) - tangential * radius * radius <= distorted ? step : last;
    }
    return last + 2 < kSteps ? std::tan(kHalfPi * (last + 2) / kSteps) : std::numeric_limits<double>::infinity();
}

// The polynomial is monotonic up to the limit, so a bisection over the angle cannot miss.
double Camera::radius_from_distorted(double distorted) const {
    double low = 0.0;
    double high = std::min(std::atan(std::sqrt(max_radius2_)), kHalfPi - 1e-9);
    for (int i = 0; i < kBisections; ++i) {
        const double middle = 0.5 * (low + high);
        (radial(std::tan(middle)) < distorted ? low : high) = middle;
    }
    return std::tan(0.5 * (low + high));
}

Point2 Camera::undistort(Point2 pixel) const {
    const Point2 target{(pixel.x - cx_) / fx_, (pixel.y - cy_) / fy_};
    const double distorted = std::hypot(target.x, target.y);
    if (lens_ == Lens::kNone || distorted == 0.0) {
        return target;
    }
    Point2 found = target;
    Point2 aim = target;
    // The tangential part is small: take it off, invert the radial part exactly, repeat.
    for (int i = 0; i < 20; ++i) {
        const double length = std::hypot(aim.x, aim.y);
        if (length == 0.0) {
            return {0.0, 0.0};
        }
        const double scale = radius_from_distorted(length) / length;
        found = {aim.x * scale, aim.y * scale};
        const Point2 image = distort(found);
        const Point2 miss{target.x - image.x, target.y - image.y};
        if (std::hypot(miss.x, miss.y) < 1e-12 || found.x * found.x + found.y * found.y >= max_radius2_ * 0.9999) {
            break;
        }
        aim = {aim.x + miss.x, aim.y + miss.y};
    }
    return found;
}

}  // namespace edge
