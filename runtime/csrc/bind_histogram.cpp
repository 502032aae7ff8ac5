// Python binding of the histogram; users meet it in edge.runtime.statistics.
#include <nanobind/nanobind.h>

#include <stdexcept>

#include "edge/log_histogram.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

std::int64_t percentile(const edge::LogHistogram& self, double share) {
    if (!(share > 0.0 && share <= 1.0)) {
        throw std::invalid_argument("a percentile's share must be above 0 and at most 1");
    }
    return self.percentile(share);
}

nb::object sum_of(const edge::LogHistogram& self) {
    return (nb::int_(self.sum_high()) << nb::int_(32)) + nb::int_(self.sum_low());
}

}  // namespace

void bind_histogram(nb::module_& m) {
    using edge::LogHistogram;
    nb::class_<LogHistogram>(m, "LogHistogram")
        .def(nb::init<>())
        .def("add", &LogHistogram::add, "ns"_a)
        .def("merge", &LogHistogram::merge, "other"_a)
        .def("clear", &LogHistogram::clear)
        .def("percentile", &percentile, "share"_a)
        .def("__len__", &LogHistogram::count)
        .def_prop_ro("count", &LogHistogram::count)
        .def_prop_ro("underflow", &LogHistogram::underflow)
        .def_prop_ro("overflow", &LogHistogram::overflow)
        .def_prop_ro("min", &LogHistogram::min)
        .def_prop_ro("max", &LogHistogram::max)
        .def_prop_ro("sum", &sum_of, nb::sig("def sum(self) -> int"));
}
