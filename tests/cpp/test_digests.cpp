// The kernels give the same bits on every host: with AVX2, without, under the sanitizers and on Arm. A digest that
// changed means that models trained before see other inputs now: say so in the changelog, then write the new one here.
#include <cinttypes>
#include <cstring>
#include <vector>

#include "edge/deskew.hpp"
#include "edge/grid.hpp"
#include "edge/image.hpp"
#include "edge/logmel.hpp"
#include "edge/projection.hpp"
#include "harness.hpp"

namespace {

// FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/
class Digest {
 public:
    template <typename T>
    void add(const std::vector<T>& values) {
        const std::size_t size = values.size() * sizeof(T);
        std::vector<unsigned char> bytes(size);
        std::memcpy(bytes.data(), values.data(), size);
        for (const unsigned char byte : bytes) {
            state_ = (state_ ^ byte) * 0x100000001B3ULL;
        }
    }
    std::uint64_t value() const { return state_; }

 private:
    std::uint64_t state_ = 0xCBF29CE484222325ULL;
};

// The standard library's distributions may differ between releases; this does not.
class Draw {
 public:
    float between(float low, float high) {
        return low + (high - low) * (static_cast<float>(next() >> 40) / 16777216.0F);
    }
    std::uint8_t byte() { return static_cast<std::uint8_t>(next() >> 56); }

 private:
    std::uint64_t next() { return state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL; }
    std::uint64_t state_ = 11;
};

bool equal(const char* what, const Digest& digest, std::uint64_t expected) {
    if (digest.value() != expected) {
        std::fprintf(stderr, "%s: the digest is 0x%016" PRIx64 "\n", what, digest.value());
    }
    return digest.value() == expected;
}

bool projection(edge::Lens lens, const std::vector<double>& coefficients, std::uint64_t expected) {
    constexpr std::size_t kPoints = 20011;
    constexpr edge::Window kWindow{-0.5, -0.5, 207.5, 63.5};
    // The lidar looks along x, slightly turned.
    constexpr edge::Transform kCameraFromLidar{0.02,    -0.9997, 0.01,   0.05, 0.015, -0.01,
                                               -0.9998, -0.1,    0.9997, 0.02, 0.015, -0.27};
    const edge::Camera camera(120, 121, 103.2, 30.7, lens, coefficients);
    Draw draw;
    std::vector<float> points;
    for (std::size_t i = 0; i < kPoints; ++i) {
        points.insert(points.end(),
                      {draw.between(-20, 90), draw.between(-30, 30), draw.between(-3, 3), draw.between(0, 1)});
    }
    std::vector<float> uvz(3 * kPoints), view(4 * 64 * 208);
    std::vector<std::uint8_t> visible(kPoints);
    edge::project_points(camera, kCameraFromLidar, kWindow, {points.data(), kPoints}, uvz.data(), visible.data());
    const edge::LidarView lidar(camera, kCameraFromLidar, {0, 0, 1, 1.73}, {1, 80, -2, 4}, 64, 208, kWindow);
    lidar.fill({points.data(), kPoints}, view.data());
    Digest digest;
    digest.add(uvz);
    digest.add(visible);
    digest.add(view);
    return equal("projection", digest, expected);
}

bool logmel(std::size_t n_fft, std::uint64_t expected) {
    const edge::LogMel logmel({64, 97, 16000, n_fft, 160, 50, 8000, 1e-6, -4, 4});
    Draw draw;
    std::vector<float> samples(2 * logmel.window_samples()), out(64 * 97);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i] = draw.between(-1, 1) * draw.between(0, 1) * (i % 4001 < 1500 ? 1.0F : 0.01F);
    }
    logmel.run(samples.data(), 2, static_cast<std::ptrdiff_t>(logmel.window_samples()), out.data());
    Digest digest;
    digest.add(out);
    return equal("logmel", digest, expected);
}

bool image(int channels, std::uint64_t expected) {
    constexpr int kRows = 93, kColumns = 311;
    Draw draw;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(kRows * kColumns * channels));
    for (std::uint8_t& pixel : pixels) {
        pixel = draw.byte();
    }
    const edge::ImageResizer resizer({3, 2, 301, 89}, {0, 4, 208, 56}, 64, 208, {0.485, 0.456, 0.406},
                                     {0.229, 0.224, 0.225});
    std::vector<float> out(3 * 64 * 208);
    resizer.run({pixels.data(), kRows, kColumns, channels, kColumns * channels, channels, 1}, true, out.data());
    Digest digest;
    digest.add(out);
    return equal("image", digest, expected);
}

bool deskew(bool by_poses, std::uint64_t expected) {
    constexpr std::size_t kPoints = 20011, kSamples = 21;
    constexpr edge::Transform kBaseFromLidar{0.36, 0.48, -0.8, 0.9, -0.8, 0.6, 0, 0.05, 0.48, 0.64, 0.6, 1.73};
    Draw draw;
    std::vector<double> times_s;
    std::vector<edge::Twist> twists;
    std::vector<edge::Pose> poses;
    for (std::size_t k = 0; k < kSamples; ++k) {
        times_s.push_back(0.01 * static_cast<double>(k) - 0.1);
        twists.push_back({{draw.between(8, 12), draw.between(-1, 1), draw.between(-1, 1)},
                          {draw.between(-0.5F, 0.5F), draw.between(-0.5F, 0.5F), draw.between(-2, 2)}});
        const double half = 0.01 * static_cast<double>(k);
        poses.push_back(
            {{0.1 * static_cast<double>(k), draw.between(-0.1F, 0.1F), 0}, {0, half, 0, 1 - half * half / 2}});
    }
    std::vector<float> points, offsets_s, moved(4 * kPoints);
    for (std::size_t i = 0; i < kPoints; ++i) {
        points.insert(points.end(),
                      {draw.between(-90, 90), draw.between(-90, 90), draw.between(-3, 3), draw.between(0, 1)});
        offsets_s.push_back(draw.between(-0.05F, 0.05F));
    }
    const edge::Trajectory motion =
        by_poses ? edge::Trajectory::through_poses(times_s, poses) : edge::Trajectory::along_twists(times_s, twists);
    const edge::Deskewed done =
        edge::deskew(motion, kBaseFromLidar, 0.013, {0.1}, {points.data(), kPoints}, offsets_s.data(), moved.data());
    CHECK(done.outcome == edge::DeskewOutcome::kDone);
    Digest digest;
    digest.add(moved);
    return equal("deskew", digest, expected);
}

bool grid(std::uint64_t expected) {
    constexpr edge::GridShape kShape{3, 24, 78};
    constexpr std::size_t kCells = 24 * 78;
    Draw draw;
    std::vector<float> logits(4 * kCells), log_distance(kCells);
    for (float& logit : logits) {
        logit = draw.between(-3, 3);
    }
    for (float& distance : log_distance) {
        distance = draw.between(1, 4.5F);
    }
    std::vector<float> found;  // single precision: what results show
    for (const edge::GridObject& object : edge::decode_grid(logits.data(), log_distance.data(), kShape, 0.5, 1.15)) {
        for (const double value : {object.score, object.log_distance, 1.0 * object.class_index, 1.0 * object.left,
                                   1.0 * object.top, 1.0 * object.right, 1.0 * object.bottom}) {
            found.push_back(static_cast<float>(value));
        }
    }
    CHECK(found.size() > 100);
    Digest digest;
    digest.add(found);
    return equal("grid", digest, expected);
}

}  // namespace

int main() {
    bool same = projection(edge::Lens::kNone, {}, 0xccccec6988d28099ULL);
    same &= projection(edge::Lens::kPlumbBob, {-0.3, 0.1, 1e-3, -5e-4, -0.01}, 0xd14dcc1e91085a0fULL);
    same &=
        projection(edge::Lens::kRational, {0.6, -0.2, 5e-4, -3e-4, -0.02, 0.95, -0.05, -0.04}, 0xee52a153d48026c2ULL);
    same &= projection(edge::Lens::kFisheye, {0.05, -0.02, 0.006, -0.002}, 0x195b65db55ab8a15ULL);
    same &= logmel(400, 0xcb39955993193a6aULL);
    same &= logmel(512, 0xc58f184b131280bbULL);
    same &= logmel(401, 0x58fc490f382f1d3dULL);  // a prime length takes another transform
    same &= image(1, 0xe0fb6490509f882fULL);
    same &= image(3, 0xe25d1c90e0ef1616ULL);
    same &= deskew(false, 0x691c6c3744369bceULL);
    same &= deskew(true, 0xbba4dbf757a3d698ULL);
    same &= grid(0xee71872e88778533ULL);
    CHECK(same);
}
