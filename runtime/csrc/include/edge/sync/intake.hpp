// The gate in front of every policy: refuses what no policy can use, and re-maps streams whose clock stepped.
#pragma once

#include <cstddef>
#include <vector>

#include "edge/sync/policy.hpp"
#include "edge/sync/stream_clock.hpp"

namespace edge::sync {

class Intake {
 private:
    static constexpr std::size_t kConfirm = 3;  // messages that must agree before a step is believed

 public:
    // Messages of a stream that it keeps: the suspects, and the one that is being judged.
    static constexpr std::size_t kMostHeld = kConfirm + 1;

    // Records that became usable; valid until the next call.
    struct Accepted {
        const Record* first = nullptr;
        std::size_t count = 0;
        const Record* begin() const { return first; }
        const Record* end() const { return first + count; }
    };

    // Throws std::invalid_argument where a stream's numbers contradict each other. `remap`: notice clock steps.
    Intake(const std::vector<StreamConfig>& streams, bool remap);

    // Usually the message itself; nothing where it is refused or suspected; several where a step was just
    // confirmed.
    Accepted accept(const Message& message, Sink& sink);

    // Lets go of a record and counts why.
    void release(const Record& record, Release why, Sink& sink);
    void count_out_of_order(std::uint32_t stream) { ++lanes_[stream].health.out_of_order; }

    // Releases the suspects.
    void flush(Sink& sink);

    bool suspects(std::uint32_t stream) const { return lanes_[stream].suspect_count > 0; }
    const StreamClock& clock(std::uint32_t stream) const { return lanes_[stream].clock; }
    StreamHealth health(std::uint32_t stream) const;
    std::size_t streams() const { return lanes_.size(); }

 private:
    struct Suspect {
        Record record;
        Nanos deviation_ns = 0;
    };
    struct Lane {
        explicit Lane(const StreamConfig& config);
        StreamClock clock;
        std::uint32_t clock_id;
        Nanos period_ns;
        StreamHealth health;
        Nanos last_stamp_ns = 0;  // as it came, on the sensor's clock
        bool seen = false;
        std::uint64_t repeats = 0;
        Suspect suspects[kConfirm];
        std::size_t suspect_count = 0;
        Nanos step_ns = 0;
        Nanos stepped_at_ns = kLongAgo;
    };

    bool repeated(Lane& lane, const Record& record, Nanos stamp_ns, Sink& sink);
    Accepted judge(Lane& lane, const Record& record, Sink& sink);
    Accepted suspect(Lane& lane, const Record& record, Nanos deviation_ns, Sink& sink);
    void confirm(Lane& lane, Sink& sink);
    Nanos size_of_step(const Lane& lane) const;
    void dismiss(Lane& lane, std::size_t count, Sink& sink);
    Accepted ready() const { return {ready_, ready_count_}; }

    std::vector<Lane> lanes_;
    bool remap_;
    Record ready_[kConfirm + 1];
    std::size_t ready_count_ = 0;
};

}  // namespace edge::sync
