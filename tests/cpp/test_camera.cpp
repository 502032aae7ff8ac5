#include <limits>
#include <stdexcept>

#include "edge/camera.hpp"
#include "harness.hpp"

namespace {

using edge::Camera;
using edge::Lens;

void a_lens_without_distortion_has_no_limit() {
    const Camera camera(100, 100, 50, 40, Lens::kNone, {});
    CHECK(camera.max_radius2() == std::numeric_limits<double>::infinity());
    const edge::Point2 at = camera.undistort({150, 140});
    CHECK_NEAR(at.x, 1.0, 1e-12);
    CHECK_NEAR(at.y, 1.0, 1e-12);
}

void the_limit_is_the_first_root_of_the_slope() {
    CHECK_NEAR(Camera(1, 1, 0, 0, Lens::kPlumbBob, {-0.25, 0, 0, 0}).max_radius2(), 4.0 / 3.0, 1e-9);
    // 1 + 3 k1 s + 5 k2 s^2 with k1 = -0.5, k2 = 0.1: s = 1 and s = 2; the first one counts.
    CHECK_NEAR(Camera(1, 1, 0, 0, Lens::kPlumbBob, {-0.5, 0.1, 0, 0}).max_radius2(), 1.0, 1e-9);
    const double theta = std::sqrt(2.0 / 3.0);
    CHECK_NEAR(Camera(1, 1, 0, 0, Lens::kFisheye, {-0.5, 0, 0, 0}).max_radius2(), std::pow(std::tan(theta), 2), 1e-8);
    // 1 / (1 - s / 4): the pole at s = 4 ends it.
    CHECK_NEAR(Camera(1, 1, 0, 0, Lens::kRational, {0, 0, 0, 0, 0, -0.25, 0, 0}).max_radius2(), 4.0, 1e-6);
}

void undistortion_inverts_distortion() {
    const Camera cameras[] = {
        Camera(500, 510, 320, 240, Lens::kPlumbBob, {-0.37, 0.19, 1.3e-3, 5e-4, -0.06}),
        Camera(500, 510, 320, 240, Lens::kRational, {0.6, -0.2, 5e-4, -3e-4, -0.02, 0.95, -0.05, -0.04}),
        Camera(500, 510, 320, 240, Lens::kFisheye, {0.05, -0.02, 0.006, -0.002}),
    };
    for (const Camera& camera : cameras) {
        for (double x = -0.7; x <= 0.7; x += 0.1) {
            for (double y = -0.4; y <= 0.4; y += 0.1) {
                const edge::Point2 bent = camera.distort({x, y});
                const edge::Point2 back =
                    camera.undistort({camera.fx() * bent.x + camera.cx(), camera.fy() * bent.y + camera.cy()});
                CHECK_NEAR(back.x, x, 1e-8);
                CHECK_NEAR(back.y, y, 1e-8);
            }
        }
    }
}

void nonsense_is_refused() {
    CHECK_THROWS(Camera(0, 1, 0, 0, Lens::kNone, {}), std::invalid_argument);
    CHECK_THROWS(Camera(1, 1, std::nan(""), 0, Lens::kNone, {}), std::invalid_argument);
    CHECK_THROWS(Camera(1, 1, 0, 0, Lens::kPlumbBob, {1, 2, 3}), std::invalid_argument);
}

}  // namespace

int main() {
    a_lens_without_distortion_has_no_limit();
    the_limit_is_the_first_root_of_the_slope();
    undistortion_inverts_distortion();
    nonsense_is_refused();
}
