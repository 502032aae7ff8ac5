// Puts the members of a fused set together and hands it over.
#pragma once

#include <cstdint>
#include <vector>

#include "edge/sync/policy.hpp"

namespace edge::sync {

class Assembler {
 public:
    explicit Assembler(std::size_t streams) : members_(streams), handles_(streams), stamps_ns_(streams) {}

    void set(std::size_t stream, const Member& member) { members_[stream] = member; }
    void set(const Record& record, Presence presence);
    void set_missing(std::size_t stream, Presence why) { members_[stream] = {why, 0, 0, nullptr, nullptr, 0}; }
    void emit(Nanos anchor_stamp_ns, Nanos now_ns, bool predicted, Sink& sink);

 private:
    std::vector<Member> members_;
    std::vector<std::uint64_t> handles_;
    std::vector<Nanos> stamps_ns_;
    std::uint64_t seq_ = 0;
    Nanos latest_ns_ = kLongAgo;
};

// Throws std::invalid_argument where a stream asks for a window, which only the anchored policy cuts.
const std::vector<StreamConfig>& without_windows(const std::vector<StreamConfig>& streams);

// Throws std::invalid_argument on a queue of no or too many messages.
std::size_t checked_queue_size(std::size_t size);

// Throws std::invalid_argument where there is no such stream.
std::uint32_t checked_anchor(std::uint32_t anchor, std::size_t streams);

}  // namespace edge::sync
