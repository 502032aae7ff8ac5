// The default policy: anchored nearest match, settled watermark, hard deadline, anchor fail-over.
#pragma once

#include <array>
#include <vector>

#include "edge/sync/assembler.hpp"
#include "edge/sync/intake.hpp"
#include "edge/sync/track.hpp"

namespace edge::sync {

struct AnchoredConfig {
    std::vector<StreamConfig> streams;
    std::uint32_t anchor = 0;
    Nanos budget_ns = 60 * kMillisecond;  // how long after the anchor's arrival the others are waited for, at most
    bool remap = true;                    // notice and undo clock steps
    // Where the anchor never comes its ticks begin one and a half periods after all other streams that are waited
    // for have been heard, and so long after the first message at the latest.
    Nanos startup_ns = 2 * kSecond;
};

// Each of the anchor's messages asks every other stream for its nearest message. The set leaves as soon as nothing
// better can come, or at the deadline. A silent anchor is replaced after one and a half of its periods by the
// ticks where its messages should have been, so that the longest silence is two periods and 20 ms. Output stamps
// only grow.
class Anchored final : public Policy {
 public:
    // Throws std::invalid_argument where the numbers contradict each other.
    explicit Anchored(const AnchoredConfig& config);

    void push(const Message& message, Nanos now_ns, Sink& sink) override;
    void advance(Nanos now_ns, Sink& sink) override;
    Nanos next_deadline_ns() const override;
    void flush(Nanos now_ns, Sink& sink) override;
    StreamHealth health(std::uint32_t stream) const override { return intake_.health(stream); }
    std::size_t streams() const override { return tracks_.size(); }
    Room room(std::uint32_t stream) const override;
    std::uint64_t awaited() const override;

    // The budget in force: half an anchor period and 20 ms at most, or the bound on silence would not hold.
    Nanos budget_ns() const { return budget_ns_; }
    // Predicted ticks that a late caller of `advance` left out.
    std::uint64_t ticks_skipped() const { return ticks_skipped_; }

 private:
    static constexpr std::size_t kMostPending = 16;

    // A set that waits to be emitted.
    struct Pending {
        Nanos stamp_ns;
        Nanos asked_ns;  // when it began to wait
        Nanos deadline_ns;
        bool predicted;
        Record anchor;  // where it is not predicted and the anchor is no window stream
    };

    void take(const Record& record, Sink& sink);
    void prepare(const Record& record);
    bool all_others_heard() const;
    void begin(Nanos stamp_ns, Nanos delay_ns);
    void take_anchor(const Record& record, Sink& sink);
    bool refuse_anchor(const Record& record, Sink& sink);
    void note_lag(const Record& record);
    void cancel_predicted(Nanos near_ns);
    void wait_for(const Pending& pending, Sink& sink);
    void add_tick(Sink& sink);
    Nanos tick_due_ns() const;
    Nanos silence_ends_ns() const;
    Nanos usual_delay_ns() const;
    Nanos anchor_delay_ns() const;
    Nanos earliest_deadline_ns() const;
    bool settled(const Pending& pending) const;
    void emit_ready(Sink& sink);
    void emit_first(Sink& sink);

    std::uint32_t anchor_;
    Nanos period_ns_;  // the anchor's
    Nanos budget_ns_;
    Nanos startup_ns_;
    Intake intake_;
    std::vector<Track> tracks_;
    Assembler assembler_;
    std::array<Pending, kMostPending> pending_{};  // in the order of their stamps
    std::size_t pending_count_ = 0;

    Nanos now_ns_ = kLongAgo;
    bool started_ = false;               // whether the ticks have begun
    Nanos startup_ends_ns_ = kNever;     // they do then at the latest; kNever before the first message
    bool alive_ = true;                  // whether the anchor is taken to be there
    Nanos tick_from_ns_ = 0;             // stamp of the latest anchor message or tick
    Nanos start_delay_ns_ = 0;           // delay of the message that began the ticks, until the anchor's own is known
    Nanos anchor_length_ns_ = 0;         // duration of the anchor's messages
    Nanos anchor_newest_ns_ = kLongAgo;  // largest stamp of the anchor so far
    Nanos anchor_lag_ns_ = 0;            // how much later than usual that one came, half a period at most
    Nanos last_stamp_ns_ = kLongAgo;
    Nanos emitted_at_ns_ = kLongAgo;  // when the latest set left
    bool last_predicted_ = false;
    std::uint64_t ticks_skipped_ = 0;
};

}  // namespace edge::sync
