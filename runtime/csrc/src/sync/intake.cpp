#include "edge/sync/intake.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace edge::sync {
namespace {

constexpr std::size_t kMostStreams = 64;
constexpr std::uint64_t kStuckRepeats = 2;      // the third equal stamp in a row
constexpr Nanos kSameStep = 50 * kMillisecond;  // jitter of the delays of two streams on one clock
constexpr Nanos kSameStepWithin = 10 * kSecond;

void check(const StreamConfig& config, std::size_t stream) {
    const auto fail = [stream](const char* problem) {
        throw std::invalid_argument("stream " + std::to_string(stream) + ": " + problem);
    };
    const Nanos transport = config.transport_ns == kUnknown ? 0 : config.transport_ns;
    const Nanos lengths[] = {config.min_period_ns, config.tolerance_ns, transport,
                             config.max_age_ns,    config.window_ns,    config.conceal_ns};
    if (config.period_ns <= 0 || config.period_ns > kLongest) {
        fail("the period must be positive and below 115 days");
    }
    if (std::any_of(std::begin(lengths), std::end(lengths), [](Nanos n) { return n < 0 || n > kLongest; })) {
        fail("lengths of time must not be negative nor above 115 days");
    }
    if (!representable(config.latency_offset_ns)) {
        fail("the latency offset is out of range");
    }
    if (config.min_period_ns > config.period_ns) {
        fail("the shortest period is longer than the period");
    }
}

}  // namespace

Intake::Lane::Lane(const StreamConfig& config) : clock(config), clock_id(config.clock), period_ns(config.period_ns) {}

Intake::Intake(const std::vector<StreamConfig>& streams, bool remap) : remap_(remap) {
    if (streams.empty() || streams.size() > kMostStreams) {
        throw std::invalid_argument("between 1 and 64 streams can be synchronized");
    }
    lanes_.reserve(streams.size());
    for (std::size_t i = 0; i < streams.size(); ++i) {
        check(streams[i], i);
        lanes_.emplace_back(streams[i]);
    }
}

void Intake::release(const Record& record, Release why, Sink& sink) {
    ++lanes_[record.stream].health.released[static_cast<std::size_t>(why)];
    sink.released(record.handle, record.stream, why);
}

Intake::Accepted Intake::accept(const Message& message, Sink& sink) {
    if (message.stream >= lanes_.size()) {
        sink.released(message.handle, message.stream, Release::kOutOfRange);
        return {};
    }
    Lane& lane = lanes_[message.stream];
    ++lane.health.received;
    Record record{
        lane.clock.map(message.stamp_ns), 0, message.arrival_ns, message.handle, message.stream, lane.clock.epoch()};
    record.end_ns = plus(record.stamp_ns, message.duration_ns);
    if (!representable(message.stamp_ns) || !representable(message.arrival_ns) || !representable(record.end_ns) ||
        !representable(record.stamp_ns) || message.duration_ns < 0 || message.duration_ns > kLongest) {
        release(record, Release::kOutOfRange, sink);
        return {};
    }
    if (repeated(lane, record, message.stamp_ns, sink)) {
        return {};
    }
    return judge(lane, record, sink);
}

bool Intake::repeated(Lane& lane, const Record& record, Nanos stamp_ns, Sink& sink) {
    const bool again = lane.seen && stamp_ns == lane.last_stamp_ns;
    lane.seen = true;
    lane.last_stamp_ns = stamp_ns;
    lane.repeats = again ? lane.repeats + 1 : 0;
    lane.health.stuck = lane.repeats >= kStuckRepeats;
    if (again) {
        release(record, lane.health.stuck ? Release::kStuck : Release::kDuplicate, sink);
    }
    return again;
}

Intake::Accepted Intake::judge(Lane& lane, const Record& record, Sink& sink) {
    ready_count_ = 0;
    const Nanos deviation = remap_ ? lane.clock.deviation(record.stamp_ns, record.arrival_ns) : 0;
    if (lane.clock.stepped(deviation)) {
        return suspect(lane, record, deviation, sink);
    }
    dismiss(lane, lane.suspect_count, sink);
    lane.clock.learn(record.stamp_ns, record.arrival_ns);
    ready_[ready_count_++] = record;
    return ready();
}

Intake::Accepted Intake::suspect(Lane& lane, const Record& record, Nanos deviation_ns, Sink& sink) {
    if (lane.suspect_count > 0 &&
        distance(lane.suspects[lane.suspect_count - 1].deviation_ns, deviation_ns) > lane.clock.threshold_ns() / 2) {
        dismiss(lane, lane.suspect_count, sink);
    }
    if (lane.suspect_count == kConfirm) {
        dismiss(lane, 1, sink);
    }
    lane.suspects[lane.suspect_count++] = {record, deviation_ns};
    // A burst of delayed messages looks like a step, but arrives all at once.
    const bool paced = minus(record.arrival_ns, lane.suspects[0].record.arrival_ns) >= lane.period_ns;
    if (lane.suspect_count == kConfirm && paced) {
        confirm(lane, sink);
    }
    return ready();
}

void Intake::confirm(Lane& lane, Sink& sink) {
    lane.step_ns = size_of_step(lane);
    lane.stepped_at_ns = lane.suspects[kConfirm - 1].record.arrival_ns;
    lane.clock.step(lane.step_ns);
    lane.suspect_count = 0;
    for (const Suspect& one : lane.suspects) {
        Record record = one.record;
        record.stamp_ns = plus(record.stamp_ns, lane.step_ns);
        record.end_ns = plus(record.end_ns, lane.step_ns);
        record.epoch = lane.clock.epoch();
        if (!representable(record.stamp_ns) || !representable(record.end_ns)) {
            release(record, Release::kOutOfRange, sink);
            continue;
        }
        lane.clock.learn(record.stamp_ns, record.arrival_ns);
        ready_[ready_count_++] = record;
    }
}

// The median of the suspects' deviations; or exactly what another stream of the same clock has just stepped by, so
// that streams which were aligned before stay aligned to the nanosecond.
Nanos Intake::size_of_step(const Lane& lane) const {
    const Nanos a = lane.suspects[0].deviation_ns, b = lane.suspects[1].deviation_ns, c = lane.suspects[2].deviation_ns;
    const Nanos median = std::max(std::min(a, b), std::min(std::max(a, b), c));
    const Nanos now = lane.suspects[kConfirm - 1].record.arrival_ns;
    for (const Lane& other : lanes_) {
        const bool recent = other.stepped_at_ns != kLongAgo && distance(now, other.stepped_at_ns) < kSameStepWithin;
        if (&other != &lane && other.clock_id == lane.clock_id && recent &&
            distance(other.step_ns, median) < kSameStep) {
            return other.step_ns;
        }
    }
    return median;
}

// The first suspects were no step: late ones go on, for they may still be of use; a stamp from the future would not.
void Intake::dismiss(Lane& lane, std::size_t count, Sink& sink) {
    for (std::size_t i = 0; i < count; ++i) {
        const Suspect& one = lane.suspects[i];
        if (one.deviation_ns > 0) {
            ready_[ready_count_++] = one.record;
        } else {
            release(one.record, Release::kFuture, sink);
        }
    }
    if (count > 0) {
        std::move(lane.suspects + count, lane.suspects + lane.suspect_count, lane.suspects);
        lane.suspect_count -= count;
    }
}

void Intake::flush(Sink& sink) {
    for (Lane& lane : lanes_) {
        for (std::size_t i = 0; i < lane.suspect_count; ++i) {
            release(lane.suspects[i].record, Release::kFlushed, sink);
        }
        lane.suspect_count = 0;
    }
}

StreamHealth Intake::health(std::uint32_t stream) const {
    StreamHealth health = lanes_.at(stream).health;
    lanes_[stream].clock.describe(health);
    return health;
}

}  // namespace edge::sync
