// The newest message of each stream at every message of the anchor.
#pragma once

#include <vector>

#include "edge/sync/assembler.hpp"
#include "edge/sync/intake.hpp"

namespace edge::sync {

struct LatestConfig {
    std::vector<StreamConfig> streams;
    std::uint32_t anchor = 0;
    bool remap = true;
};

// Never waits. A message that was part of a set before is marked as held; one older than its stream's max_age_ns
// (if that is set) is missing.
class Latest final : public Policy {
 public:
    explicit Latest(const LatestConfig& config);

    void push(const Message& message, Nanos now_ns, Sink& sink) override;
    void advance(Nanos, Sink&) override {}
    void flush(Nanos now_ns, Sink& sink) override;
    StreamHealth health(std::uint32_t stream) const override { return intake_.health(stream); }
    std::size_t streams() const override { return slots_.size(); }
    Room room(std::uint32_t) const override { return {1 + Intake::kMostHeld, 1}; }
    std::uint64_t awaited() const override { return std::uint64_t{1} << anchor_; }

 private:
    struct Slot {
        Record record;
        bool full = false;
        Nanos max_age_ns = 0;
    };

    void take(const Record& record, Nanos now_ns, Sink& sink);
    void emit(Nanos stamp_ns, Nanos now_ns, Sink& sink);

    Intake intake_;
    std::vector<Slot> slots_;
    Assembler assembler_;
    std::uint32_t anchor_;
    Nanos last_stamp_ns_ = kLongAgo;
};

}  // namespace edge::sync
