// Python bindings: shapes are checked here, the lock is released around the work, results go into arrays that the
// caller made. The classes that users meet are the wrappers in edge.runtime.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "edge/content.hpp"
#include "edge/grid.hpp"
#include "edge/image.hpp"
#include "edge/logmel.hpp"
#include "edge/projection.hpp"

namespace nb = nanobind;

void bind_deskew(nb::module_& m);       // bind_deskew.cpp
void bind_histogram(nb::module_& m);    // bind_histogram.cpp
void bind_synchronize(nb::module_& m);  // bind_synchronize.cpp
void bind_live(nb::module_& m);         // bind_live.cpp

using namespace nb::literals;

namespace {

using PointArray = nb::ndarray<const float, nb::shape<-1, 4>, nb::c_contig, nb::device::cpu>;
using ByteArray = nb::ndarray<const std::uint8_t, nb::device::cpu>;
using SoundArray = nb::ndarray<const float, nb::ndim<2>, nb::device::cpu>;
using FloatArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using ByteOutput = nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu>;

template <typename Array>
void require(const Array& array, std::initializer_list<std::size_t> shape) {
    bool equal = array.ndim() == shape.size();
    std::size_t axis = 0;
    for (const std::size_t size : shape) {
        equal = equal && array.shape(axis) == size;
        ++axis;
    }
    if (!equal) {
        throw std::invalid_argument("array of the wrong shape");
    }
}

edge::Lens lens_named(const std::string& name) {
    static const std::map<std::string, edge::Lens> kNames{{"none", edge::Lens::kNone},
                                                          {"plumb_bob", edge::Lens::kPlumbBob},
                                                          {"rational", edge::Lens::kRational},
                                                          {"fisheye", edge::Lens::kFisheye}};
    const auto found = kNames.find(name);
    if (found == kNames.end()) {
        throw std::invalid_argument("unknown distortion model '" + name + "'");
    }
    return found->second;
}

edge::Window window_of(const std::array<double, 4>& edges) { return {edges[0], edges[1], edges[2], edges[3]}; }

edge::Points points_of(const PointArray& points) { return {points.data(), points.shape(0)}; }

void bind_camera(nb::module_& m) {
    nb::class_<edge::Camera>(m, "Camera")
        .def(
            "__init__",
            [](edge::Camera* self, double fx, double fy, double cx, double cy, const std::string& lens,
               const std::vector<double>& coefficients) {
                new (self) edge::Camera(fx, fy, cx, cy, lens_named(lens), coefficients);
            },
            "fx"_a, "fy"_a, "cx"_a, "cy"_a, "lens"_a, "coefficients"_a)
        .def_prop_ro("max_radius2", &edge::Camera::max_radius2)
        .def(
            "undistort",
            [](const edge::Camera& self, double u, double v) {
                const edge::Point2 at = self.undistort({u, v});
                return std::pair<double, double>(at.x, at.y);
            },
            "u"_a, "v"_a);
}

void project(const edge::Camera& camera, const edge::Transform& transform, const std::array<double, 4>& window,
             const PointArray& points, const Output& uvz, const ByteOutput& visible) {
    require(uvz, {points.shape(0), 3});
    require(visible, {points.shape(0)});
    const nb::gil_scoped_release release;
    edge::project_points(camera, transform, window_of(window), points_of(points), uvz.data(), visible.data());
}

void bind_projection(nb::module_& m) {
    m.def("project_points", &project, "camera"_a, "camera_from_lidar"_a, "window"_a, "points"_a.noconvert(),
          "uvz"_a.noconvert(), "visible"_a.noconvert());
    nb::class_<edge::LidarView>(m, "LidarView")
        .def(
            "__init__",
            [](edge::LidarView* self, const edge::Camera& camera, const edge::Transform& transform,
               const std::array<double, 4>& base_z, const std::array<double, 4>& ranges, int rows, int columns,
               const std::array<double, 4>& window) {
                const edge::ViewScale scale{ranges[0], ranges[1], ranges[2], ranges[3]};
                new (self) edge::LidarView(camera, transform, base_z, scale, rows, columns, window_of(window));
            },
            "camera"_a, "camera_from_lidar"_a, "base_z"_a, "ranges"_a, "rows"_a, "columns"_a, "window"_a)
        .def(
            "fill",
            [](const edge::LidarView& self, const PointArray& points, const Output& view) {
                require(view, {4, static_cast<std::size_t>(self.rows()), static_cast<std::size_t>(self.columns())});
                const nb::gil_scoped_release release;
                self.fill(points_of(points), view.data());
            },
            "points"_a.noconvert(), "view"_a.noconvert());
}

edge::ImageView image_of(const ByteArray& image) {
    if (image.ndim() != 2 && image.ndim() != 3) {
        throw std::invalid_argument("an image must be [H, W] or [H, W, C]");
    }
    const bool planes = image.ndim() == 3;
    return {image.data(),
            static_cast<int>(image.shape(0)),
            static_cast<int>(image.shape(1)),
            planes ? static_cast<int>(image.shape(2)) : 1,
            image.stride(0),
            image.stride(1),
            planes ? image.stride(2) : 1};
}

// Points, or samples of sound, as one row of bytes.
edge::ImageView bytes_of(const float* values, std::size_t count) {
    const std::size_t size = count * sizeof(float);
    if (size > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        throw std::invalid_argument("a sample of more than 2 GiB");
    }
    const auto* const data = reinterpret_cast<const std::uint8_t*>(values);
    return {data, 1, static_cast<int>(size), 1, static_cast<std::ptrdiff_t>(size), 1, 1};
}

std::tuple<std::uint64_t, bool, bool> seen_at(const edge::Fingerprint& print) {
    return {print.value, print.blank, print.whole};
}

edge::SoundView sound_of(const SoundArray& samples) {
    return {samples.data(), samples.shape(0), samples.shape(1), samples.stride(0), samples.stride(1)};
}

// What the sanity gate asks; too short to give up the lock for.
void bind_content(nb::module_& m) {
    m.def(
        "image_glance", [](const ByteArray& image) { return seen_at(edge::glance(image_of(image))); },
        "image"_a.noconvert());
    m.def(
        "image_fingerprint", [](const ByteArray& image) { return seen_at(edge::fingerprint(image_of(image))); },
        "image"_a.noconvert());
    m.def(
        "cloud_glance",
        [](const PointArray& points) { return seen_at(edge::glance(bytes_of(points.data(), points.size()))); },
        "points"_a.noconvert());
    m.def(
        "cloud_fingerprint",
        [](const PointArray& points) { return seen_at(edge::fingerprint(bytes_of(points.data(), points.size()))); },
        "points"_a.noconvert());
    m.def(
        "cloud_has_returns", [](const PointArray& points) { return edge::has_returns(points.data(), points.shape(0)); },
        "points"_a.noconvert());
    m.def(
        "sound_levels",
        [](const SoundArray& samples, float full_scale) {
            const edge::SoundLevels levels = edge::sound_levels(sound_of(samples), full_scale);
            return std::tuple<std::size_t, bool, bool, float>(levels.full_scale, levels.flat, levels.finite,
                                                              levels.first);
        },
        "samples"_a.noconvert(), "full_scale"_a);
    m.def(
        "sound_glance",
        [](const FloatArray& samples) { return seen_at(edge::glance(bytes_of(samples.data(), samples.size()))); },
        "samples"_a.noconvert());
    m.def(
        "sound_fingerprint",
        [](const FloatArray& samples) { return seen_at(edge::fingerprint(bytes_of(samples.data(), samples.size()))); },
        "samples"_a.noconvert());
}

edge::Rect rect_of(const std::array<int, 4>& r) { return {r[0], r[1], r[2], r[3]}; }

void bind_image(nb::module_& m) {
    nb::class_<edge::ImageResizer>(m, "ImageResizer")
        .def(
            "__init__",
            [](edge::ImageResizer* self, const std::array<int, 4>& source, const std::array<int, 4>& target, int rows,
               int columns, const std::vector<double>& mean, const std::vector<double>& std) {
                new (self) edge::ImageResizer(rect_of(source), rect_of(target), rows, columns, mean, std);
            },
            "source"_a, "target"_a, "rows"_a, "columns"_a, "mean"_a, "std"_a)
        .def(
            "run",
            [](const edge::ImageResizer& self, const ByteArray& image, bool reverse, const Output& output) {
                require(output, {static_cast<std::size_t>(self.channels()), static_cast<std::size_t>(self.rows()),
                                 static_cast<std::size_t>(self.columns())});
                const edge::ImageView view = image_of(image);
                const nb::gil_scoped_release release;
                self.run(view, reverse, output.data());
            },
            "image"_a.noconvert(), "reverse"_a, "output"_a.noconvert());
}

void features(const edge::LogMel& self, const SoundArray& samples, const Output& output) {
    require(output, {self.config().mels, self.config().frames});
    if (samples.shape(1) != self.window_samples() || (samples.shape(1) > 1 && samples.stride(1) != 1)) {
        throw std::invalid_argument("a window of the wrong length, or channels that are not packed");
    }
    const nb::gil_scoped_release release;
    self.run(samples.data(), samples.shape(0), samples.stride(0), output.data());
}

void bind_logmel(nb::module_& m) {
    nb::class_<edge::LogMel>(m, "LogMel")
        .def(
            "__init__",
            [](edge::LogMel* self, std::size_t mels, std::size_t frames, double rate_hz, std::size_t n_fft,
               std::size_t hop, double f_min_hz, double f_max_hz, double floor, double mean, double std) {
                new (self) edge::LogMel({mels, frames, rate_hz, n_fft, hop, f_min_hz, f_max_hz, floor, mean, std});
            },
            "mels"_a, "frames"_a, "rate_hz"_a, "n_fft"_a, "hop"_a, "f_min_hz"_a, "f_max_hz"_a, "floor"_a, "mean"_a,
            "std"_a)
        .def("features", &features, "samples"_a.noconvert(), "output"_a.noconvert());
}

using Found = std::tuple<int, double, double, std::array<int, 4>>;

std::vector<Found> decode(const FloatArray& logits, const FloatArray& log_distance, double threshold, double ratio) {
    if (logits.ndim() != 3 || logits.shape(0) < 2) {
        throw std::invalid_argument("grid logits must be [1 + classes, rows, columns]");
    }
    require(log_distance, {logits.shape(1), logits.shape(2)});
    const edge::GridShape shape{static_cast<int>(logits.shape(0)) - 1, static_cast<int>(logits.shape(1)),
                                static_cast<int>(logits.shape(2))};
    std::vector<Found> found;
    const nb::gil_scoped_release release;
    for (const edge::GridObject& o : edge::decode_grid(logits.data(), log_distance.data(), shape, threshold, ratio)) {
        found.emplace_back(o.class_index, o.score, o.log_distance,
                           std::array<int, 4>{o.left, o.top, o.right, o.bottom});
    }
    return found;
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "C++ core of edge.runtime";
    // Preprocessors are cached for the life of the process; at exit that is no leak worth a page of warnings.
    nb::set_leak_warnings(false);
    bind_camera(m);
    bind_projection(m);
    bind_image(m);
    bind_logmel(m);
    bind_content(m);
    bind_deskew(m);
    bind_synchronize(m);
    bind_live(m);
    bind_histogram(m);
    m.def("decode_grid", &decode, "logits"_a.noconvert(), "log_distance"_a.noconvert(), "threshold"_a,
          "distance_ratio"_a);
}
