// Python bindings of the deskew. Users meet the wrappers in edge.runtime.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "edge/deskew.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Times = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using PoseArray = nb::ndarray<const double, nb::shape<-1, 7>, nb::c_contig, nb::device::cpu>;
using TwistArray = nb::ndarray<const double, nb::shape<-1, 6>, nb::c_contig, nb::device::cpu>;
using PointArray = nb::ndarray<const float, nb::shape<-1, 4>, nb::c_contig, nb::device::cpu>;
using OffsetArray = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using MovedArray = nb::ndarray<float, nb::shape<-1, 4>, nb::c_contig, nb::device::cpu>;

std::vector<double> times_of(const Times& times) { return {times.data(), times.data() + times.shape(0)}; }

edge::Trajectory through_poses(const Times& times, const PoseArray& poses) {
    std::vector<edge::Pose> given;
    for (std::size_t i = 0; i < poses.shape(0); ++i) {
        const double* p = poses.data() + 7 * i;
        given.push_back({{p[0], p[1], p[2]}, {p[3], p[4], p[5], p[6]}});
    }
    return edge::Trajectory::through_poses(times_of(times), given);
}

edge::Trajectory along_twists(const Times& times, const TwistArray& twists) {
    std::vector<edge::Twist> given;
    for (std::size_t i = 0; i < twists.shape(0); ++i) {
        const double* t = twists.data() + 6 * i;
        given.push_back({{t[0], t[1], t[2]}, {t[3], t[4], t[5]}});
    }
    return edge::Trajectory::along_twists(times_of(times), given);
}

std::pair<int, std::size_t> deskew(const edge::Trajectory& motion, const edge::Transform& motion_from_sensor,
                                   double target_s, double reach_s, const PointArray& points,
                                   const OffsetArray& offsets, const MovedArray& moved) {
    if (offsets.shape(0) != points.shape(0) || moved.shape(0) != points.shape(0)) {
        throw std::invalid_argument("points, offsets and output must have one length");
    }
    const nb::gil_scoped_release release;
    const edge::Deskewed done = edge::deskew(motion, motion_from_sensor, target_s, {reach_s},
                                             {points.data(), points.shape(0)}, offsets.data(), moved.data());
    return {static_cast<int>(done.outcome), done.timeless};
}

}  // namespace

void bind_deskew(nb::module_& m) {
    nb::class_<edge::Trajectory>(m, "Trajectory")
        .def_static("through_poses", &through_poses, "times"_a.noconvert(), "poses"_a.noconvert())
        .def_static("along_twists", &along_twists, "times"_a.noconvert(), "twists"_a.noconvert())
        .def("at", &edge::Trajectory::at, "time_s"_a);
    m.def("deskew", &deskew, "motion"_a, "motion_from_sensor"_a, "target_s"_a, "reach_s"_a, "points"_a.noconvert(),
          "offsets"_a.noconvert(), "moved"_a.noconvert());
}
