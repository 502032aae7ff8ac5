// The lens equations, inlined into the projection loops.
#pragma once

#include <cmath>

#include "edge/camera.hpp"

namespace edge {

template <Lens kLens>
EDGE_INLINE Point2 distort_ideal(const std::array<double, 8>& k, double x, double y) {
    if constexpr (kLens == Lens::kNone) {
        return {x, y};
    } else if constexpr (kLens == Lens::kFisheye) {
        const double r = std::sqrt(x * x + y * y);
        const double theta = std::atan(r);
        const double t2 = theta * theta;
        const double bent = theta * (1.0 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3]))));
        const double scale = r > 1e-8 ? bent / r : 1.0;
        return {x * scale, y * scale};
    } else {
        const double r2 = x * x + y * y;
        double radial = 1.0 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]));
        if constexpr (kLens == Lens::kRational) {
            radial /= 1.0 + r2 * (k[5] + r2 * (k[6] + r2 * k[7]));
        }
        const double xy2 = 2.0 * x * y;
        return {x * radial + k[2] * xy2 + k[3] * (r2 + 2.0 * x * x),
                y * radial + k[2] * (r2 + 2.0 * y * y) + k[3] * xy2};
    }
}

}  // namespace edge
