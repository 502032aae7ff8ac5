#include "edge/sync/exact.hpp"

#include <algorithm>

namespace edge::sync {

Exact::Exact(const ExactConfig& config)
    : intake_(without_windows(config.streams), config.remap),
      queues_(config.streams.size(), History(checked_queue_size(config.queue_size) + 1)),
      matched_(config.streams.size()),
      assembler_(config.streams.size()),
      queue_size_(config.queue_size),
      monotonic_(config.monotonic) {}

void Exact::push(const Message& message, Nanos now_ns, Sink& sink) {
    for (const Record& record : intake_.accept(message, sink)) {
        take(record, now_ns, sink);
    }
}

void Exact::take(const Record& record, Nanos now_ns, Sink& sink) {
    History& queue = queues_[record.stream];
    if (monotonic_ && record.stamp_ns <= last_stamp_ns_) {
        intake_.release(record, Release::kLate, sink);
        return;
    }
    if (queue.contains(record.stamp_ns)) {
        intake_.release(record, Release::kDuplicate, sink);
        return;
    }
    queue.insert(record);
    if (queue.size() > queue_size_) {
        intake_.release(queue.front(), Release::kOverflow, sink);
        queue.pop_front();
    }
    const auto holds = [&record](const History& one) { return one.contains(record.stamp_ns); };
    if (std::all_of(queues_.begin(), queues_.end(), holds)) {
        emit(record.stamp_ns, now_ns, sink);
    }
}

void Exact::emit(Nanos stamp_ns, Nanos now_ns, Sink& sink) {
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        const std::size_t position = queues_[i].count_until(stamp_ns) - 1;
        matched_[i] = queues_[i].at(position);
        assembler_.set(matched_[i], Presence::kFresh);
        queues_[i].erase(position);
    }
    last_stamp_ns_ = std::max(last_stamp_ns_, stamp_ns);
    assembler_.emit(stamp_ns, now_ns, false, sink);
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        intake_.release(matched_[i], Release::kUsed, sink);
        while (monotonic_ && !queues_[i].empty() && queues_[i].front().stamp_ns < stamp_ns) {
            intake_.release(queues_[i].front(), Release::kPassed, sink);
            queues_[i].pop_front();
        }
    }
}

void Exact::flush(Nanos, Sink& sink) {
    for (History& queue : queues_) {
        while (!queue.empty()) {
            intake_.release(queue.front(), Release::kFlushed, sink);
            queue.pop_front();
        }
    }
    intake_.flush(sink);
}

}  // namespace edge::sync
