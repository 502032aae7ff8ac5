// A fused set that outlives the policy's call, in memory that was allocated before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edge/sync/policy.hpp"

namespace edge::live {

using sync::Nanos;

struct MatchedMember {
    sync::Presence presence = sync::Presence::kNeverSeen;
    std::uint32_t epoch = 0;
    Nanos stamp_ns = 0;
    std::size_t first = 0;  // position of its handles in the set's
    std::size_t count = 0;
};

class MatchedSet {
 public:
    // `most`: how many handles a member of each stream may have.
    explicit MatchedSet(const std::vector<std::size_t>& most);
    static std::size_t bytes(const std::vector<std::size_t>& most);

    // Throws std::length_error where a member has more handles than there is room for.
    void assign(const sync::Emission& emission);

    std::uint64_t seq = 0;
    Nanos anchor_stamp_ns = 0;
    Nanos emitted_ns = 0;
    Nanos spread_ns = 0;
    bool predicted = false;
    std::vector<MatchedMember> members;  // one a stream
    std::vector<std::uint64_t> handles;
    std::vector<Nanos> stamps_ns;  // of each handle, on the common axis
};

}  // namespace edge::live
