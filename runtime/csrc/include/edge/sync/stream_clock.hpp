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

    // How far a message's delay is from the usual one; 0 while the usual one is being learned.
    Nanos deviation(Nanos mapped_ns, Nanos arrival_ns) const;
    Nanos threshold_ns() const { return threshold_ns_; }

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

    Nanos latency_offset_ns_;
    Nanos transport_ns_;
    Nanos threshold_ns_;
    Nanos largest_change_ns_;
    Nanos shift_ns_;
    Nanos latest_delays_ns_[kLearning] = {};
    int learned_ = 0;
    Nanos delay_ns_ = 0;
    Nanos min_delay_ns_ = kNever;
    std::uint64_t negative_delays_ = 0;
    std::uint32_t epoch_ = 0;
    Drift drift_;
};

}  // namespace edge::sync
