#include "edge/sync/assembler.hpp"

#include <algorithm>
#include <stdexcept>

namespace edge::sync {

void Assembler::set(const Record& record, Presence presence) {
    const std::uint32_t i = record.stream;
    handles_[i] = record.handle;
    stamps_ns_[i] = record.stamp_ns;
    members_[i] = {presence, record.epoch, record.stamp_ns, &handles_[i], &stamps_ns_[i], 1};
}

void Assembler::emit(Nanos anchor_stamp_ns, Nanos now_ns, bool predicted, Sink& sink) {
    Nanos oldest = kNever, newest = kLongAgo;
    for (const Member& member : members_) {
        if (member.count > 0) {
            oldest = std::min(oldest, member.stamp_ns);
            newest = std::max(newest, member.stamp_ns);
        }
    }
    latest_ns_ = std::max(latest_ns_, now_ns);
    const Nanos spread = oldest <= newest ? minus(newest, oldest) : 0;
    sink.emitted({seq_++, anchor_stamp_ns, latest_ns_, spread, predicted, members_.data(), members_.size()});
}

const std::vector<StreamConfig>& without_windows(const std::vector<StreamConfig>& streams) {
    for (const StreamConfig& stream : streams) {
        if (stream.window_ns > 0) {
            throw std::invalid_argument("only the anchored policy cuts windows");
        }
    }
    return streams;
}

std::size_t checked_queue_size(std::size_t size) {
    constexpr std::size_t kLongestQueue = 4096;
    if (size == 0 || size > kLongestQueue) {
        throw std::invalid_argument("a queue holds between 1 and 4096 messages");
    }
    return size;
}

std::uint32_t checked_anchor(std::uint32_t anchor, std::size_t streams) {
    if (anchor >= streams) {
        throw std::invalid_argument("the anchor is not one of the streams");
    }
    return anchor;
}

}  // namespace edge::sync
