// Python bindings of the thread that matches. Payloads are Python objects, adopted by reference; the thread itself
// never sees one. Users meet the wrapper in edge.runtime.synchronize.live.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "bind_synchronize.hpp"
#include "edge/live/sync_thread.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using edge::live::Clock;
using edge::live::Frame;
using edge::live::LiveConfig;
using edge::live::ManualClock;
using edge::live::MatchedSet;
using edge::live::MonotonicClock;
using edge::live::Push;
using edge::live::SyncThread;
using edge::live::Taken;
using edge::sync::Nanos;

constexpr std::size_t kTakers = 2;                        // one that works on a set, one that takes the next
constexpr std::size_t kAtOnce = 8;                        // payloads let go of by one push: it stays short
constexpr Nanos kSlice = 100 * edge::sync::kMillisecond;  // between two looks at whether Ctrl-C was pressed

using Rings = std::vector<std::size_t>;

LiveConfig config_of(const Rings& rings, std::size_t depth, bool drop_newest) {
    using edge::live::Overflow;
    LiveConfig config;
    config.depth = depth;
    config.takers = kTakers;
    config.overflow = drop_newest ? Overflow::kDropNewest : Overflow::kDropOldest;
    config.rings = rings;
    return config;
}

class LiveSync {
 public:
    LiveSync(nb::handle policy, const Rings& rings, std::size_t depth, bool drop_newest,
             const std::shared_ptr<Clock>& clock);
    ~LiveSync();
    LiveSync(const LiveSync&) = delete;
    LiveSync& operator=(const LiveSync&) = delete;

    int push(std::uint32_t stream, Nanos stamp, Nanos arrival, std::uint64_t seq, Nanos duration, nb::handle payload);
    int push_without_gil(std::uint32_t stream, Nanos stamp, Nanos arrival, std::uint64_t seq, Nanos duration,
                         nb::handle payload);
    std::vector<Nanos> timed_pushes(std::uint32_t stream, std::size_t count, Nanos period, nb::handle payload);
    nb::object take(std::optional<Nanos> timeout);
    void close();
    void finish() { thread_.finish(); }
    bool settle(Nanos timeout) {
        const nb::gil_scoped_release release;
        return thread_.settle(timeout);
    }
    nb::object counts(std::uint32_t stream) const;
    nb::object health(std::uint32_t stream) const { return as_tuple(thread_.health(checked(stream))); }
    std::size_t reclaim();
    SyncThread& thread() { return thread_; }
    void raise_failure() const;

 private:
    // Whoever holds `owner` is the stream's producer: it pushes and reclaims, for well under a microsecond, and asks
    // for nothing else meanwhile, the GIL least of all. So it may be waited for with the GIL and without.
    struct Lane {
        std::mutex owner;
    };

    std::uint32_t checked(std::uint32_t stream) const {
        if (stream >= lanes_.size()) {
            throw std::invalid_argument("no such stream");
        }
        return stream;
    }
    Taken wait(MatchedSet& set, std::optional<Nanos> timeout);
    nb::object as_python(const MatchedSet& set) const;
    std::unique_ptr<MatchedSet> spare();
    static void let_go(void* const* payloads, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            Py_DECREF(static_cast<PyObject*>(payloads[i]));
        }
    }

    SyncThread thread_;
    std::vector<std::unique_ptr<Lane>> lanes_;
    nb::ft_mutex spares_mutex_;
    std::vector<std::unique_ptr<MatchedSet>> spares_;
};

LiveSync::LiveSync(nb::handle policy, const Rings& rings, std::size_t depth, bool drop_newest,
                   const std::shared_ptr<Clock>& clock)
    : thread_(hand_over_policy(policy), config_of(rings, depth, drop_newest), clock) {
    for (std::size_t i = 0; i < thread_.streams(); ++i) {
        lanes_.push_back(std::make_unique<Lane>());
    }
}

// The thread needs no lock of Python's, so that it can be joined while this one holds it.
LiveSync::~LiveSync() {
    thread_.stop();
    void* payloads[kAtOnce];
    for (std::uint32_t i = 0; i < lanes_.size(); ++i) {
        while (const std::size_t count = thread_.clear(i, payloads, kAtOnce)) {
            let_go(payloads, count);
        }
    }
}

// Keeps the GIL: it is held for about a microsecond, or ten where the thread must be woken, and nothing here waits for
// whoever needs the GIL. Giving it up around ring and wake costs more than it gives, for whoever gives it up must get
// it back: beside a thread that computes in Python the mean push took 10 to 118 us instead of 1.2 to 2.3 (p99.9 5 to 9
// ms instead of 0.04), and beside one that keeps the GIL for 50 ms at a time up to 50 ms (benchmarks/live.py measures
// both).
int LiveSync::push(std::uint32_t stream, Nanos stamp, Nanos arrival, std::uint64_t seq, Nanos duration,
                   nb::handle payload) {
    Lane& lane = *lanes_[checked(stream)];
    void* back[kAtOnce];
    std::size_t count = 0;
    Push result;
    Py_INCREF(payload.ptr());
    {
        const std::lock_guard<std::mutex> lock(lane.owner);
        count = thread_.reclaim(stream, back, kAtOnce);
        result = thread_.push(stream, Frame{payload.ptr(), seq, stamp, arrival}, duration);
    }
    if (result != Push::kAccepted) {
        Py_DECREF(payload.ptr());
    }
    let_go(back, count);  // last: a payload's end may run anything, a push into this stream too
    return static_cast<int>(result);
}

// The other way, for comparing them.
int LiveSync::push_without_gil(std::uint32_t stream, Nanos stamp, Nanos arrival, std::uint64_t seq, Nanos duration,
                               nb::handle payload) {
    Lane& lane = *lanes_[checked(stream)];
    void* back[kAtOnce];
    std::size_t count = 0;
    Push result;
    Py_INCREF(payload.ptr());
    {
        const nb::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(lane.owner);
        count = thread_.reclaim(stream, back, kAtOnce);
        result = thread_.push(stream, Frame{payload.ptr(), seq, stamp, arrival}, duration);
    }
    if (result != Push::kAccepted) {
        Py_DECREF(payload.ptr());
    }
    let_go(back, count);
    return static_cast<int>(result);
}

// What a driver in C++ does, for timing it: one stamped message a period, never with Python's lock. The durations of
// the pushes in nanoseconds; period 0 pushes as fast as they are taken.
std::vector<Nanos> LiveSync::timed_pushes(std::uint32_t stream, std::size_t count, Nanos period, nb::handle payload) {
    checked(stream);
    std::vector<Nanos> took(count);
    std::vector<void*> back(count + 65536);
    std::size_t returned = 0;
    for (std::size_t i = 0; i < count; ++i) {
        Py_INCREF(payload.ptr());
    }
    {
        const nb::gil_scoped_release release;
        const std::shared_ptr<edge::live::Clock> clock = std::make_shared<edge::live::MonotonicClock>();
        edge::live::Alarm never;
        Nanos next = clock->now_ns();
        for (std::size_t i = 0; i < count; ++i, next += period) {
            clock->sleep(never, next);
            returned += thread_.reclaim(stream, back.data() + returned, std::min(kAtOnce, back.size() - returned));
            const Nanos stamp = clock->now_ns();
            if (thread_.push(stream, Frame{payload.ptr(), i, stamp, stamp}, 0) != Push::kAccepted) {
                back[returned++] = payload.ptr();
            }
            took[i] = clock->now_ns() - stamp;
        }
    }
    let_go(back.data(), returned);
    return took;
}

Taken LiveSync::wait(MatchedSet& set, std::optional<Nanos> timeout) {
    const Nanos until = timeout ? edge::sync::plus(edge::live::monotonic_now_ns(), *timeout) : edge::sync::kNever;
    for (;;) {
        const Nanos left = until == edge::sync::kNever ? kSlice : until - edge::live::monotonic_now_ns();
        Taken taken;
        {
            const nb::gil_scoped_release release;
            taken = thread_.take(set, std::clamp<Nanos>(left, 0, kSlice));
        }
        if (taken != Taken::kTimeout || (until != edge::sync::kNever && left <= kSlice)) {
            return taken;
        }
        if (PyErr_CheckSignals() != 0) {
            throw nb::python_error();
        }
    }
}

std::unique_ptr<MatchedSet> LiveSync::spare() {
    {
        const nb::ft_lock_guard lock(spares_mutex_);
        if (!spares_.empty()) {
            std::unique_ptr<MatchedSet> one = std::move(spares_.back());
            spares_.pop_back();
            return one;
        }
    }
    return std::make_unique<MatchedSet>(thread_.make_set());
}

nb::object LiveSync::take(std::optional<Nanos> timeout) {
    std::unique_ptr<MatchedSet> set = spare();
    const Taken taken = wait(*set, timeout);
    if (taken == Taken::kClosed) {
        raise_failure();
    }
    nb::object result = nb::none();
    if (taken == Taken::kSet) {
        try {
            result = as_python(*set);
        } catch (...) {
            thread_.release(*set);
            throw;
        }
        thread_.release(*set);
        reclaim();
    }
    const nb::ft_lock_guard lock(spares_mutex_);
    spares_.push_back(std::move(set));
    return result;
}

// Handles become positions in the list of payloads.
nb::object LiveSync::as_python(const MatchedSet& set) const {
    nb::list members, payloads;
    for (std::uint32_t i = 0; i < set.members.size(); ++i) {
        const edge::live::MatchedMember& member = set.members[i];
        nb::list positions, stamps;
        for (std::size_t k = member.first; k < member.first + member.count; ++k) {
            positions.append(nb::len(payloads));
            stamps.append(set.stamps_ns[k]);
            payloads.append(nb::handle(static_cast<PyObject*>(thread_.frame(i, set.handles[k]).payload)));
        }
        members.append(
            nb::make_tuple(static_cast<int>(member.presence), member.stamp_ns, member.epoch, positions, stamps));
    }
    const nb::tuple matched =
        nb::make_tuple(set.seq, set.anchor_stamp_ns, set.emitted_ns, set.spread_ns, set.predicted, members);
    return nb::make_tuple(matched, payloads);
}

// Frames of all streams that nobody needs any more, so that none waits for the next push of a silent stream.
std::size_t LiveSync::reclaim() {
    void* back[kAtOnce];
    std::size_t all = 0;
    for (std::uint32_t i = 0; i < lanes_.size(); ++i) {
        for (std::size_t count = kAtOnce; count == kAtOnce; all += count) {
            {
                const std::lock_guard<std::mutex> lock(lanes_[i]->owner);
                count = thread_.reclaim(i, back, kAtOnce);
            }
            let_go(back, count);
        }
    }
    return all;
}

void LiveSync::close() {
    {
        const nb::gil_scoped_release release;
        thread_.stop();
    }
    reclaim();
}

void LiveSync::raise_failure() const {
    if (const std::exception_ptr failure = thread_.failure()) {
        std::rethrow_exception(failure);
    }
}

nb::object LiveSync::counts(std::uint32_t stream) const {
    const edge::live::LaneCounts counts = thread_.counts(checked(stream));
    return nb::make_tuple(counts.accepted, counts.ring_full, counts.no_frame, counts.ring_high_water);
}

using Memory = std::tuple<std::size_t, std::vector<std::size_t>, std::vector<std::size_t>>;

// Bytes of it all; by stream the frames that are kept at most, and how many of them a set names.
Memory memory(nb::handle policy, const Rings& sizes, std::size_t depth) {
    const edge::sync::Policy& given = policy_of(policy);
    const LiveConfig config = config_of(sizes, depth, false);
    std::vector<edge::sync::Room> rooms;
    std::vector<std::size_t> frames, in_set;
    for (std::uint32_t i = 0; i < given.streams(); ++i) {
        rooms.push_back(given.room(i));
        frames.push_back(SyncThread::frames(config, i, rooms.back()));
        in_set.push_back(rooms.back().in_set);
    }
    return {SyncThread::bytes(config, rooms), frames, in_set};
}

void bind_calls(nb::class_<LiveSync>& bound) {
    bound
        .def("push", &LiveSync::push, "stream"_a, "stamp_ns"_a, "arrival_ns"_a, "seq"_a, "duration_ns"_a, "payload"_a,
             nb::sig("def push(self, stream: int, stamp_ns: int, arrival_ns: int, seq: int, duration_ns: int, payload: "
                     "object) -> int"))
        .def("push_without_gil", &LiveSync::push_without_gil, "stream"_a, "stamp_ns"_a, "arrival_ns"_a, "seq"_a,
             "duration_ns"_a, "payload"_a,
             nb::sig("def push_without_gil(self, stream: int, stamp_ns: int, arrival_ns: int, seq: int, duration_ns: "
                     "int, payload: object) -> int"))
        .def("timed_pushes", &LiveSync::timed_pushes, "stream"_a, "count"_a, "period_ns"_a, "payload"_a,
             nb::sig("def timed_pushes(self, stream: int, count: int, period_ns: int, payload: object) -> list[int]"))
        .def("take", &LiveSync::take, "timeout_ns"_a.none(),
             nb::sig("def take(self, timeout_ns: int | None) -> tuple[tuple[int, int, int, int, bool, list[tuple[int, "
                     "int, int, list[int], list[int]]]], list[object]] | None"))
        .def("finish", &LiveSync::finish)
        .def("close", &LiveSync::close)
        .def("settle", &LiveSync::settle, "timeout_ns"_a)
        .def("reclaim", &LiveSync::reclaim)
        .def("raise_failure", &LiveSync::raise_failure)
        .def("counts", &LiveSync::counts, "stream"_a,
             nb::sig("def counts(self, stream: int) -> tuple[int, int, int, int]"))
        .def("health", &LiveSync::health, "stream"_a,
             nb::sig("def health(self, stream: int) -> "
                     "tuple[int, list[int], int, int, int, int, bool, int, int, int, float]"))
        .def(
            "frames_in_use", [](LiveSync& self, std::uint32_t i) { return self.thread().frames_in_use(i); },
            "stream"_a);
}

}  // namespace

void bind_live(nb::module_& m) {
    nb::class_<Clock>(m, "Clock").def("now_ns", &Clock::now_ns);
    nb::class_<MonotonicClock, Clock>(m, "MonotonicClock").def(nb::init<Nanos>(), "ahead_ns"_a);
    nb::class_<ManualClock, Clock>(m, "ManualClock")
        .def(nb::init<Nanos>(), "start_ns"_a)
        .def("move_to", &ManualClock::move_to, "now_ns"_a);
    nb::class_<LiveSync> bound(m, "LiveSync");
    bound.def(nb::init<nb::handle, const Rings&, std::size_t, bool, std::shared_ptr<Clock>>(), "policy"_a, "rings"_a,
              "depth"_a, "drop_newest"_a, "clock"_a);
    bind_calls(bound);
    bound.def_prop_ro("sets_dropped", [](LiveSync& self) { return self.thread().sets_dropped(); })
        .def_prop_ro("sets_waiting", [](LiveSync& self) { return self.thread().sets_waiting(); })
        .def_prop_ro("wakes", [](LiveSync& self) { return self.thread().wakes(); });
    m.def("live_memory", &memory, "policy"_a, "rings"_a, "depth"_a);
}
