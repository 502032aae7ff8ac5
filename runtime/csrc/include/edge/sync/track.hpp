// One stream as the anchored policy sees it: what it holds, what can still come, and what matches an anchor's
// stamp.
#pragma once

#include <vector>

#include "edge/sync/history.hpp"
#include "edge/sync/intake.hpp"

namespace edge::sync {

class Track {
 public:
    // `lookahead_ns`: how far beyond an unmatched anchor the stream may run.
    Track(const StreamConfig& config, std::uint32_t stream, Nanos lookahead_ns);

    std::size_t capacity() const { return history_.capacity(); }
    bool windowed() const { return config_.window_ns > 0; }
    bool waited_for() const { return config_.absence != Absence::kMask; }
    bool heard() const { return newest_ns_ != kLongAgo; }
    void start(Nanos now_ns) { last_arrival_ns_ = now_ns; }

    // Takes a record into the history, or releases it as late or duplicate.
    void admit(const Record& record, Intake& intake, Sink& sink);

    // Whether waiting for the anchor's stamp T until the deadline can no longer give a better match.
    // `asked_ns`: when the set began to wait; `delay_ns`: the stream's usual one.
    bool settled(Nanos T, Nanos asked_ns, Nanos deadline_ns, Nanos delay_ns) const;

    // The member for T; what it names is marked as used. Handles are valid until the next call.
    Member match(Nanos T, Nanos now_ns, bool remapping);

    // The anchor's own message becomes its latest used one.
    void use(const Record& record, Intake& intake, Sink& sink);

    // Releases what no later anchor can use.
    void prune(Nanos T, Intake& intake, Sink& sink);
    void flush(Intake& intake, Sink& sink);

 private:
    bool silent(Nanos now_ns) const;
    void insert(const Record& record, Intake& intake, Sink& sink);
    void release_front(Intake& intake, Sink& sink);
    Member member(Record& record, Presence presence);
    Member missing(Nanos now_ns, bool remapping) const;
    Member match_nearest(Nanos T, Nanos now_ns, bool remapping);
    Member match_window(Nanos T, Nanos now_ns, bool remapping);
    Member cut_window(Nanos end_ns, std::size_t first, std::size_t behind, bool held);
    std::size_t nearest_fresh(Nanos T) const;

    StreamConfig config_;
    std::uint32_t stream_;
    Nanos hole_ns_;  // between two chunks of a window: so much is bridged
    History history_;
    std::vector<std::uint64_t> handles_;
    std::vector<Nanos> stamps_ns_;
    Nanos last_arrival_ns_ = kLongAgo;
    Nanos newest_ns_ = kLongAgo;  // largest stamp so far
    Nanos newest_end_ns_ = kLongAgo;
    Nanos last_used_ns_ = kLongAgo;  // stamp of the newest record that was part of a set
};

}  // namespace edge::sync
