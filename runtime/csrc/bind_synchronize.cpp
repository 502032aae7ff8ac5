// Python bindings of the synchronization policies. Users meet the wrappers in edge.runtime.synchronize.
#include "bind_synchronize.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "edge/sync/anchored.hpp"
#include "edge/sync/exact.hpp"
#include "edge/sync/latest.hpp"
#include "edge/sync/optimal.hpp"
#include "edge/sync/replay.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using edge::sync::Nanos;

namespace {

using Numbers = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Keeps what a policy gave until Python collects it.
class Outbox final : public edge::sync::Sink {
 public:
    Outbox() {
        sets_.reserve(64);
        members_.reserve(512);
        handles_.reserve(4096);
        stamps_ns_.reserve(4096);
        released_.reserve(4096);
    }
    void emitted(const edge::sync::Emission& emission) override {
        sets_.push_back(emission);
        for (std::size_t i = 0; i < emission.count; ++i) {
            const edge::sync::Member& member = emission.members[i];
            members_.push_back(member);
            handles_.insert(handles_.end(), member.handles, member.handles + member.count);
            stamps_ns_.insert(stamps_ns_.end(), member.stamps_ns, member.stamps_ns + member.count);
        }
    }
    void released(std::uint64_t handle, std::uint32_t stream, edge::sync::Release why) override {
        released_.push_back({handle, stream, why});
    }
    bool empty() const { return sets_.empty(); }
    nb::list take_sets();
    nb::list take_released();

 private:
    struct Gone {
        std::uint64_t handle;
        std::uint32_t stream;
        edge::sync::Release why;
    };
    std::vector<edge::sync::Emission> sets_;
    std::vector<edge::sync::Member> members_;
    std::vector<std::uint64_t> handles_;
    std::vector<Nanos> stamps_ns_;
    std::vector<Gone> released_;
};

nb::list Outbox::take_sets() {
    nb::list sets;
    std::size_t member_at = 0, handle_at = 0;
    for (const edge::sync::Emission& set : sets_) {
        nb::list members;
        for (std::size_t i = 0; i < set.count; ++i) {
            const edge::sync::Member& member = members_[member_at++];
            nb::list handles, stamps;
            for (std::size_t k = 0; k < member.count; ++k, ++handle_at) {
                handles.append(handles_[handle_at]);
                stamps.append(stamps_ns_[handle_at]);
            }
            members.append(
                nb::make_tuple(static_cast<int>(member.presence), member.stamp_ns, member.epoch, handles, stamps));
        }
        sets.append(
            nb::make_tuple(set.seq, set.anchor_stamp_ns, set.emitted_ns, set.spread_ns, set.predicted, members));
    }
    sets_.clear();
    members_.clear();
    handles_.clear();
    stamps_ns_.clear();
    return sets;
}

nb::list Outbox::take_released() {
    nb::list list;
    for (const Gone& one : released_) {
        list.append(nb::make_tuple(one.handle, one.stream, static_cast<int>(one.why)));
    }
    released_.clear();
    return list;
}

// Counts and forgets: for timing a policy alone.
class Counter final : public edge::sync::Sink {
 public:
    void emitted(const edge::sync::Emission&) override { ++sets; }
    void released(std::uint64_t, std::uint32_t, edge::sync::Release) override { ++gone; }
    std::uint64_t sets = 0, gone = 0;
};

class Synchronization {
 public:
    explicit Synchronization(std::unique_ptr<edge::sync::Policy> policy) : policy_(std::move(policy)) {}

    bool push(std::uint32_t stream, Nanos stamp, Nanos arrival, std::uint64_t handle, Nanos duration, Nanos now) {
        policy().push({stream, stamp, arrival, handle, duration}, now, outbox_);
        return !outbox_.empty();
    }
    bool advance(Nanos now) {
        policy().advance(now, outbox_);
        return !outbox_.empty();
    }
    bool flush(Nanos now) {
        policy().flush(now, outbox_);
        return !outbox_.empty();
    }
    std::optional<Nanos> next_deadline() const {
        const Nanos due = policy().next_deadline_ns();
        return due == edge::sync::kNever ? std::nullopt : std::optional<Nanos>(due);
    }
    void replay(const Numbers& streams, const Numbers& stamps, const Numbers& arrivals, const Numbers& durations) {
        const std::vector<edge::sync::Message> messages = messages_of(streams, stamps, arrivals, durations);
        const nb::gil_scoped_release release;
        edge::sync::replay(policy(), messages.data(), messages.size(), outbox_);
    }
    std::pair<double, std::uint64_t> timed_replay(const Numbers& streams, const Numbers& stamps,
                                                  const Numbers& arrivals, const Numbers& durations);
    nb::object health(std::uint32_t stream) const;
    edge::sync::Policy& policy() const {
        if (policy_ == nullptr) {
            throw std::invalid_argument("the policy was handed over to a thread");
        }
        return *policy_;
    }
    std::unique_ptr<edge::sync::Policy> hand_over() {
        static_cast<void>(policy());
        return std::move(policy_);
    }
    Outbox& outbox() { return outbox_; }

 private:
    static std::vector<edge::sync::Message> messages_of(const Numbers& streams, const Numbers& stamps,
                                                        const Numbers& arrivals, const Numbers& durations);

    std::unique_ptr<edge::sync::Policy> policy_;
    Outbox outbox_;
};

std::vector<edge::sync::Message> Synchronization::messages_of(const Numbers& streams, const Numbers& stamps,
                                                              const Numbers& arrivals, const Numbers& durations) {
    const std::size_t count = streams.shape(0);
    if (stamps.shape(0) != count || arrivals.shape(0) != count || durations.shape(0) != count) {
        throw std::invalid_argument("streams, stamps, arrivals and durations must be equally long");
    }
    std::vector<edge::sync::Message> messages(count);
    for (std::size_t i = 0; i < count; ++i) {
        messages[i] = {static_cast<std::uint32_t>(streams(i)), stamps(i), arrivals(i), i, durations(i)};
    }
    return messages;
}

std::pair<double, std::uint64_t> Synchronization::timed_replay(const Numbers& streams, const Numbers& stamps,
                                                               const Numbers& arrivals, const Numbers& durations) {
    const std::vector<edge::sync::Message> messages = messages_of(streams, stamps, arrivals, durations);
    Counter counter;
    const nb::gil_scoped_release release;
    const auto start = std::chrono::steady_clock::now();
    edge::sync::replay(policy(), messages.data(), messages.size(), counter);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return {took.count(), counter.sets};
}

nb::object Synchronization::health(std::uint32_t stream) const {
    if (stream >= policy().streams()) {
        throw std::invalid_argument("no such stream");
    }
    return as_tuple(policy().health(stream));
}

edge::sync::Absence absence_of(int number) {
    if (number < 0 || number > static_cast<int>(edge::sync::Absence::kMask)) {
        throw std::invalid_argument("absence must be 0 (required), 1 (hold) or 2 (mask)");
    }
    return static_cast<edge::sync::Absence>(number);
}

using Streams = std::vector<edge::sync::StreamConfig>;

struct AnchoredSync : Synchronization {
    AnchoredSync(const Streams& streams, std::uint32_t anchor, Nanos budget, bool remap, Nanos startup)
        : Synchronization(std::make_unique<edge::sync::Anchored>(
              edge::sync::AnchoredConfig{streams, anchor, budget, remap, startup})) {}
    const edge::sync::Anchored& anchored() { return static_cast<edge::sync::Anchored&>(policy()); }
};

struct ExactSync : Synchronization {
    ExactSync(const Streams& streams, std::size_t queue_size, bool monotonic, bool remap)
        : Synchronization(
              std::make_unique<edge::sync::Exact>(edge::sync::ExactConfig{streams, queue_size, monotonic, remap})) {}
};

struct LatestSync : Synchronization {
    LatestSync(const Streams& streams, std::uint32_t anchor, bool remap)
        : Synchronization(std::make_unique<edge::sync::Latest>(edge::sync::LatestConfig{streams, anchor, remap})) {}
};

struct OptimalSync : Synchronization {
    OptimalSync(const Streams& streams, std::uint32_t anchor, std::size_t queue_size, double age_penalty,
                std::optional<Nanos> max_interval, const std::vector<Nanos>& lower_bounds, bool remap)
        : Synchronization(std::make_unique<edge::sync::Optimal>(
              edge::sync::OptimalConfig{streams, anchor, queue_size, age_penalty,
                                        max_interval.value_or(edge::sync::kNever), lower_bounds, remap})) {}
};

void bind_stream(nb::module_& m) {
    nb::class_<edge::sync::StreamConfig>(m, "SyncStream")
        .def(
            "__init__",
            [](edge::sync::StreamConfig* self, Nanos period, Nanos min_period, Nanos tolerance, Nanos latency_offset,
               std::optional<Nanos> transport, Nanos max_age, Nanos window, Nanos conceal, int absence,
               std::uint32_t clock) {
                if (transport && *transport < 0) {
                    throw std::invalid_argument("the transport delay must not be negative");
                }
                new (self) edge::sync::StreamConfig{
                    period,  min_period, tolerance, latency_offset,      transport.value_or(edge::sync::kUnknown),
                    max_age, window,     conceal,   absence_of(absence), clock};
            },
            "period_ns"_a, "min_period_ns"_a, "tolerance_ns"_a, "latency_offset_ns"_a, "transport_ns"_a, "max_age_ns"_a,
            "window_ns"_a, "conceal_ns"_a, "absence"_a, "clock"_a);
}

void bind_calls(nb::class_<Synchronization>& bound) {
    bound
        .def("push", &Synchronization::push, "stream"_a, "stamp_ns"_a, "arrival_ns"_a, "handle"_a, "duration_ns"_a,
             "now_ns"_a)
        .def("advance", &Synchronization::advance, "now_ns"_a)
        .def("flush", &Synchronization::flush, "now_ns"_a)
        .def("next_deadline_ns", &Synchronization::next_deadline)
        .def(
            "take_sets", [](Synchronization& self) { return self.outbox().take_sets(); },
            nb::sig("def take_sets(self) -> list[tuple[int, int, int, int, bool, list[tuple[int, int, int, "
                    "list[int], list[int]]]]]"))
        .def(
            "take_released", [](Synchronization& self) { return self.outbox().take_released(); },
            nb::sig("def take_released(self) -> list[tuple[int, int, int]]"))
        .def("replay", &Synchronization::replay, "streams"_a, "stamps_ns"_a, "arrivals_ns"_a, "durations_ns"_a)
        .def("timed_replay", &Synchronization::timed_replay, "streams"_a, "stamps_ns"_a, "arrivals_ns"_a,
             "durations_ns"_a)
        .def("health", &Synchronization::health, "stream"_a,
             nb::sig("def health(self, stream: int) -> "
                     "tuple[int, list[int], int, int, int, int, bool, int, int, int, float]"));
}

}  // namespace

void bind_synchronize(nb::module_& m) {
    bind_stream(m);
    nb::class_<Synchronization> base(m, "Synchronization");
    bind_calls(base);
    nb::class_<AnchoredSync, Synchronization>(m, "AnchoredSync")
        .def(nb::init<const Streams&, std::uint32_t, Nanos, bool, Nanos>(), "streams"_a, "anchor"_a, "budget_ns"_a,
             "remap"_a, "startup_ns"_a)
        .def_prop_ro("budget_ns", [](AnchoredSync& self) { return self.anchored().budget_ns(); })
        .def_prop_ro("ticks_skipped", [](AnchoredSync& self) { return self.anchored().ticks_skipped(); });
    nb::class_<ExactSync, Synchronization>(m, "ExactSync")
        .def(nb::init<const Streams&, std::size_t, bool, bool>(), "streams"_a, "queue_size"_a, "monotonic"_a,
             "remap"_a);
    nb::class_<LatestSync, Synchronization>(m, "LatestSync")
        .def(nb::init<const Streams&, std::uint32_t, bool>(), "streams"_a, "anchor"_a, "remap"_a);
    nb::class_<OptimalSync, Synchronization>(m, "OptimalSync")
        .def(nb::init<const Streams&, std::uint32_t, std::size_t, double, std::optional<Nanos>,
                      const std::vector<Nanos>&, bool>(),
             "streams"_a, "anchor"_a, "queue_size"_a, "age_penalty"_a, "max_interval_ns"_a, "lower_bounds_ns"_a,
             "remap"_a);
}

nb::object as_tuple(const edge::sync::StreamHealth& h) {
    nb::list released;
    for (const std::uint64_t count : h.released) {
        released.append(count);
    }
    return nb::make_tuple(h.received, released, h.out_of_order, h.negative_delays, h.epoch, h.epoch_offset_ns, h.stuck,
                          h.delay_ns, h.min_delay_ns, h.offset_estimate_ns, h.drift_ppm);
}

std::unique_ptr<edge::sync::Policy> hand_over_policy(nb::handle synchronization) {
    return nb::cast<Synchronization&>(synchronization).hand_over();
}

const edge::sync::Policy& policy_of(nb::handle synchronization) {
    return nb::cast<Synchronization&>(synchronization).policy();
}
