// Equal stamps only.
#pragma once

#include <vector>

#include "edge/sync/assembler.hpp"
#include "edge/sync/history.hpp"
#include "edge/sync/intake.hpp"

namespace edge::sync {

struct ExactConfig {
    std::vector<StreamConfig> streams;
    std::size_t queue_size = 10;  // messages kept of each stream
    bool monotonic = true;  // a set also lets go of everything older, as ROS's C++ policy does and its Python one not
    bool remap = true;
};

// A set leaves when all streams hold one stamp. Streams whose stamps are to be equal belong on one clock, so that
// a step shifts them all by the same nanoseconds.
class Exact final : public Policy {
 public:
    explicit Exact(const ExactConfig& config);

    void push(const Message& message, Nanos now_ns, Sink& sink) override;
    void advance(Nanos, Sink&) override {}
    void flush(Nanos now_ns, Sink& sink) override;
    StreamHealth health(std::uint32_t stream) const override { return intake_.health(stream); }
    std::size_t streams() const override { return queues_.size(); }
    Room room(std::uint32_t) const override { return {queue_size_ + 2 + Intake::kMostHeld, 1}; }

 private:
    void take(const Record& record, Nanos now_ns, Sink& sink);
    void emit(Nanos stamp_ns, Nanos now_ns, Sink& sink);

    Intake intake_;
    std::vector<History> queues_;
    std::vector<Record> matched_;
    Assembler assembler_;
    std::size_t queue_size_;
    bool monotonic_;
    Nanos last_stamp_ns_ = kLongAgo;
};

}  // namespace edge::sync
