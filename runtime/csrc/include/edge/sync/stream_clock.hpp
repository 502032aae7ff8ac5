// Brings one stream's stamps to the common axis, and notices when its clock has stepped.
#pragma once

#include "edge/sync/drift.hpp"
#include "edge/sync/policy.hpp"

namespace edge::sync {

// The delay from stamp to arrival is what stays put in a healthy stream. A stepped clock shows as a delay that
// moved by more than the threshold and stays there; `step` then shifts later stamps back to where they would have
// been.
class StreamClock {
 public:
    explicit StreamClock(const StreamConfig& config);

    Nanos map(Nanos stamp_ns) const { return plus(stamp_ns, shift_ns_); }

    // How far a message's delay is from the usual one; 0 while the usual one is being learned, and where the link
    // is as quick again as it was before it became slower.
    Nanos deviation(Nanos mapped_ns, Nanos arrival_ns) const;
    Nanos threshold_ns() const { return threshold_ns_; }
    // Whether a message with that deviation may be the first after a step: it is beyond the threshold, or undoes the
    // latest step. What was just above the threshold on its way out may be just below it on its way back.
    bool stepped(Nanos deviation_ns) const;

    // Takes a plausible message into the estimates.
    void learn(Nanos mapped_ns, Nanos arrival_ns);

    // Starts a new epoch: `by_ns` is added to every later stamp.
    void step(Nanos by_ns);

    bool known() const { return learned_ > 0; }
    Nanos delay_ns() const { return delay_ns_; }
    std::uint32_t epoch() const { return epoch_; }
    void describe(StreamHealth& health) const;

 private:
    static constexpr int kLearning = 3;  // the usual delay starts as the median of three: one outlier does no harm
    Nanos learned_delay(Nanos delay_ns);
    bool has_moved() const;
    void follow(Nanos delay_ns);

    Nanos latency_offset_ns_;
    Nanos transport_ns_;
    Nanos threshold_ns_;
    Nanos largest_change_ns_;
    Nanos shift_ns_;
    Nanos latest_delays_ns_[kLearning] = {};
    int learned_ = 0;
    Nanos delay_ns_ = 0;
    Nanos quicker_ns_ = kNever;  // the usual delay before the link became slower; kNever where it has not
    Nanos step_ns_ = 0;          // the latest step
    Nanos min_delay_ns_ = kNever;
    std::uint64_t negative_delays_ = 0;
    std::uint32_t epoch_ = 0;
    Drift drift_;
};

}  // namespace edge::sync
