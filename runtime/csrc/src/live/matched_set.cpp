#include "edge/live/matched_set.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace edge::live {

MatchedSet::MatchedSet(const std::vector<std::size_t>& most)
    : members(most.size()),
      handles(std::accumulate(most.begin(), most.end(), std::size_t{0})),
      stamps_ns(handles.size()) {}

std::size_t MatchedSet::bytes(const std::vector<std::size_t>& most) {
    const std::size_t handles = std::accumulate(most.begin(), most.end(), std::size_t{0});
    return sizeof(MatchedSet) + most.size() * sizeof(MatchedMember) + handles * (sizeof(std::uint64_t) + sizeof(Nanos));
}

void MatchedSet::assign(const sync::Emission& emission) {
    seq = emission.seq;
    anchor_stamp_ns = emission.anchor_stamp_ns;
    emitted_ns = emission.emitted_ns;
    spread_ns = emission.spread_ns;
    predicted = emission.predicted;
    std::size_t at = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
        const sync::Member& from = emission.members[i];
        if (at + from.count > handles.size()) {
            throw std::length_error("a fused set names more messages than there is room for");
        }
        members[i] = {from.presence, from.epoch, from.stamp_ns, at, from.count};
        std::copy_n(from.handles, from.count, handles.begin() + static_cast<std::ptrdiff_t>(at));
        std::copy_n(from.stamps_ns, from.count, stamps_ns.begin() + static_cast<std::ptrdiff_t>(at));
        at += from.count;
    }
}

}  // namespace edge::live
