#include "edge/sync/latest.hpp"

namespace edge::sync {

Latest::Latest(const LatestConfig& config)
    : intake_(without_windows(config.streams), config.remap),
      slots_(config.streams.size()),
      assembler_(config.streams.size()),
      anchor_(checked_anchor(config.anchor, config.streams.size())) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        slots_[i].max_age_ns = config.streams[i].max_age_ns;
    }
}

void Latest::push(const Message& message, Nanos now_ns, Sink& sink) {
    for (const Record& record : intake_.accept(message, sink)) {
        take(record, now_ns, sink);
    }
}

void Latest::take(const Record& record, Nanos now_ns, Sink& sink) {
    Slot& slot = slots_[record.stream];
    if (record.stream == anchor_ && record.stamp_ns <= last_stamp_ns_) {
        intake_.release(record, Release::kLate, sink);
        return;
    }
    if (slot.full && record.stamp_ns <= slot.record.stamp_ns) {
        const bool equal = record.stamp_ns == slot.record.stamp_ns;
        intake_.release(record, equal ? Release::kDuplicate : Release::kBackward, sink);
        return;
    }
    if (slot.full) {
        intake_.release(slot.record, slot.record.used ? Release::kUsed : Release::kPassed, sink);
    }
    slot.record = record;
    slot.full = true;
    if (record.stream == anchor_) {
        emit(record.stamp_ns, now_ns, sink);
    }
}

void Latest::emit(Nanos stamp_ns, Nanos now_ns, Sink& sink) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        Slot& slot = slots_[i];
        if (!slot.full) {
            assembler_.set_missing(i, Presence::kNeverSeen);
        } else if (slot.max_age_ns > 0 && minus(stamp_ns, slot.record.stamp_ns) > slot.max_age_ns) {
            assembler_.set_missing(i, Presence::kTooFar);
        } else {
            assembler_.set(slot.record, slot.record.used ? Presence::kHeld : Presence::kFresh);
            slot.record.used = true;
        }
    }
    last_stamp_ns_ = stamp_ns;
    assembler_.emit(stamp_ns, now_ns, false, sink);
}

void Latest::flush(Nanos, Sink& sink) {
    for (Slot& slot : slots_) {
        if (slot.full) {
            intake_.release(slot.record, slot.record.used ? Release::kUsed : Release::kFlushed, sink);
            slot.full = false;
        }
    }
    intake_.flush(sink);
}

}  // namespace edge::sync
