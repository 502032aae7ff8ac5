#include "edge/sync/stream_clock.hpp"

#include <algorithm>

namespace edge::sync {
namespace {

constexpr Nanos kSmallestStep = 200 * kMillisecond;
constexpr Nanos kStepPeriods = 3;
constexpr Nanos kSmoothing = 16;             // messages over which the usual delay follows
constexpr Nanos kAlike = 50 * kMillisecond;  // jitter between two delays, or two steps, that are the same

Nanos median(const Nanos* d) { return std::max(std::min(d[0], d[1]), std::min(std::max(d[0], d[1]), d[2])); }

}  // namespace

StreamClock::StreamClock(const StreamConfig& config)
    : latency_offset_ns_(config.latency_offset_ns),
      transport_ns_(std::max<Nanos>(config.transport_ns, 0)),
      threshold_ns_(std::max(kStepPeriods * config.period_ns, kSmallestStep)),
      largest_change_ns_(std::max<Nanos>(config.period_ns / 4, kMillisecond)),
      shift_ns_(config.latency_offset_ns),
      learned_(config.transport_ns == kUnknown ? 0 : kLearning),
      delay_ns_(transport_ns_) {
    std::fill(std::begin(latest_delays_ns_), std::end(latest_delays_ns_), delay_ns_);
}

Nanos StreamClock::deviation(Nanos mapped_ns, Nanos arrival_ns) const {
    const Nanos delay = minus(arrival_ns, mapped_ns);
    const bool quick_again = quicker_ns_ != kNever && distance(delay, quicker_ns_) <= kAlike;
    return learned_ < kLearning || quick_again ? 0 : minus(delay, delay_ns_);
}

bool StreamClock::stepped(Nanos deviation_ns) const {
    return distance(deviation_ns, 0) > threshold_ns_ ||
           (step_ns_ != 0 && distance(deviation_ns, minus(0, step_ns_)) <= kAlike);
}

Nanos StreamClock::learned_delay(Nanos delay_ns) {
    latest_delays_ns_[learned_++] = delay_ns;
    const Nanos* d = latest_delays_ns_;
    if (learned_ < kLearning) {
        return *std::min_element(d, d + learned_);
    }
    return median(d);
}

void StreamClock::learn(Nanos mapped_ns, Nanos arrival_ns) {
    const Nanos delay = minus(arrival_ns, mapped_ns);
    negative_delays_ += delay < 0;
    min_delay_ns_ = std::min(min_delay_ns_, delay);
    drift_.add(arrival_ns, delay);
    if (learned_ < kLearning) {
        delay_ns_ = learned_delay(delay);
        return;
    }
    std::move(latest_delays_ns_ + 1, latest_delays_ns_ + kLearning, latest_delays_ns_);
    latest_delays_ns_[kLearning - 1] = delay;
    if (has_moved()) {
        follow(median(latest_delays_ns_));
        return;
    }
    // Clipped, so that one late message hardly moves it.
    delay_ns_ += std::clamp(minus(delay, delay_ns_), -largest_change_ns_, largest_change_ns_) / kSmoothing;
}

// Remembers the usual delay of a link that has become slower until it is as quick again.
void StreamClock::follow(Nanos delay_ns) {
    if (delay_ns > delay_ns_) {
        quicker_ns_ = std::min(quicker_ns_, delay_ns_);
    } else if (quicker_ns_ != kNever && delay_ns <= plus(quicker_ns_, kAlike)) {
        quicker_ns_ = kNever;
    }
    delay_ns_ = delay_ns;
}

// Three messages in a row that were all much slower, or all much quicker: the link has changed, not a message.
bool StreamClock::has_moved() const {
    const Nanos* d = latest_delays_ns_;
    const auto slower = [this](Nanos delay) { return minus(delay, delay_ns_) > largest_change_ns_; };
    const auto quicker = [this](Nanos delay) { return minus(delay_ns_, delay) > largest_change_ns_; };
    return std::all_of(d, d + kLearning, slower) || std::all_of(d, d + kLearning, quicker);
}

void StreamClock::step(Nanos by_ns) {
    shift_ns_ = plus(shift_ns_, by_ns);
    ++epoch_;
    step_ns_ = by_ns;
    quicker_ns_ = kNever;
    std::fill(std::begin(latest_delays_ns_), std::end(latest_delays_ns_), delay_ns_);
    min_delay_ns_ = kNever;
    drift_.clear();
}

void StreamClock::describe(StreamHealth& health) const {
    health.epoch = epoch_;
    health.epoch_offset_ns = minus(shift_ns_, latency_offset_ns_);
    health.negative_delays = negative_delays_;
    health.delay_ns = delay_ns_;
    health.min_delay_ns = known() ? std::min(min_delay_ns_, delay_ns_) : 0;
    health.offset_estimate_ns = known() ? minus(transport_ns_, delay_ns_) : 0;
    health.drift_ppm = drift_.ppm();
}

}  // namespace edge::sync
