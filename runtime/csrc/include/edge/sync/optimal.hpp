// ROS's adaptive ApproximateTime: sets of the smallest spread, whatever the rates are.
#pragma once

#include <vector>

#include "edge/sync/assembler.hpp"
#include "edge/sync/history.hpp"
#include "edge/sync/intake.hpp"

namespace edge::sync {

struct OptimalConfig {
    std::vector<StreamConfig> streams;
    std::uint32_t anchor = 0;            // whose stamp a set carries
    std::size_t queue_size = 10;         // messages kept of each stream
    double age_penalty = 0.1;            // how much smaller the spread of a later set must be to be preferred
    Nanos max_interval_ns = kNever;      // largest spread of a set
    std::vector<Nanos> lower_bounds_ns;  // least time between two messages of a stream; empty: 0
    bool remap = true;
};

// The algorithm of http://wiki.ros.org/message_filters/ApproximateTime. The latest of the first messages of all
// streams is the pivot: every set contains it or a later one of its stream, so the candidates for one pivot can be
// enumerated by advancing the stream with the earliest message, and the search ends once what can still come, by
// the lower bounds, is no better. It waits for every stream, with no deadline: one silent stream silences the
// output.
class Optimal final : public Policy {
 public:
    explicit Optimal(const OptimalConfig& config);

    void push(const Message& message, Nanos now_ns, Sink& sink) override;
    void advance(Nanos, Sink&) override {}
    void flush(Nanos now_ns, Sink& sink) override;
    StreamHealth health(std::uint32_t stream) const override { return intake_.health(stream); }
    std::size_t streams() const override { return queues_.size(); }
    Room room(std::uint32_t) const override { return {queue_size_ + 2 + Intake::kMostHeld, 1}; }

 private:
    static constexpr std::size_t kNoPivot = static_cast<std::size_t>(-1);

    // Messages before `examined` were looked at in the search under way; the first message is the candidate's.
    struct Queue {
        explicit Queue(std::size_t capacity) : messages(capacity) {}
        History messages;
        std::size_t examined = 0;
        std::size_t saved = 0;
        bool dropped = false;  // a message was lost since the last set, and might have been part of a better one
        Nanos lower_bound_ns = 0;
        Nanos newest_ns = kLongAgo;
        bool exhausted() const { return examined == messages.size(); }
    };
    struct Edges {
        std::size_t first = 0, last = 0;
        Nanos start_ns = 0, end_ns = 0;
    };

    void take(const Record& record, Nanos now_ns, Sink& sink);
    void overflow(Queue& queue, Nanos now_ns, Sink& sink);
    void search(Nanos now_ns, Sink& sink);
    bool start_search(const Edges& edges, Sink& sink);
    void look_ahead(Nanos now_ns, Sink& sink);
    void adopt(const Edges& edges, Sink& sink);
    void emit(Nanos now_ns, Sink& sink);
    bool complete() const;
    Edges edges() const;
    Nanos next_stamp(const Queue& queue) const;
    bool no_better(Nanos end_ns, Nanos start_ns) const;
    void drop_front(Queue& queue, Release why, Sink& sink);

    Intake intake_;
    std::vector<Queue> queues_;
    Assembler assembler_;
    std::uint32_t anchor_;
    std::size_t queue_size_;
    double penalty_;
    Nanos max_interval_ns_;
    std::size_t pivot_ = kNoPivot;
    Nanos pivot_ns_ = 0;
    Nanos candidate_start_ns_ = 0, candidate_end_ns_ = 0;
    std::vector<Record> matched_;
};

}  // namespace edge::sync
