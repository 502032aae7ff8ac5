#include "edge/sync/optimal.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace edge::sync {

Optimal::Optimal(const OptimalConfig& config)
    : intake_(without_windows(config.streams), config.remap),
      assembler_(config.streams.size()),
      anchor_(checked_anchor(config.anchor, config.streams.size())),
      queue_size_(checked_queue_size(config.queue_size)),
      penalty_(config.age_penalty),
      max_interval_ns_(config.max_interval_ns),
      matched_(config.streams.size()) {
    if (!(penalty_ >= 0.0 && penalty_ <= 1e6) || max_interval_ns_ < 0) {
        throw std::invalid_argument("the age penalty and the largest interval must not be negative");
    }
    if (!config.lower_bounds_ns.empty() && config.lower_bounds_ns.size() != config.streams.size()) {
        throw std::invalid_argument("there must be one lower bound for each stream, or none");
    }
    for (std::size_t i = 0; i < config.streams.size(); ++i) {
        queues_.emplace_back(queue_size_ + 1);
        queues_[i].lower_bound_ns = config.lower_bounds_ns.empty() ? 0 : config.lower_bounds_ns[i];
        if (queues_[i].lower_bound_ns < 0 || queues_[i].lower_bound_ns > kLongest) {
            throw std::invalid_argument("a lower bound must not be negative nor above 115 days");
        }
    }
}

void Optimal::push(const Message& message, Nanos now_ns, Sink& sink) {
    for (const Record& record : intake_.accept(message, sink)) {
        take(record, now_ns, sink);
    }
}

void Optimal::take(const Record& record, Nanos now_ns, Sink& sink) {
    Queue& queue = queues_[record.stream];
    if (record.stamp_ns <= queue.newest_ns) {
        const bool equal = record.stamp_ns == queue.newest_ns;
        intake_.release(record, equal ? Release::kDuplicate : Release::kBackward, sink);
        return;
    }
    queue.newest_ns = record.stamp_ns;
    queue.messages.insert(record);
    search(now_ns, sink);
    if (queue.messages.size() > queue_size_) {
        overflow(queue, now_ns, sink);
    }
}

void Optimal::overflow(Queue& queue, Nanos now_ns, Sink& sink) {
    for (Queue& one : queues_) {
        one.examined = 0;
    }
    drop_front(queue, Release::kOverflow, sink);
    queue.dropped = true;
    if (pivot_ != kNoPivot) {  // the candidate has lost a member
        pivot_ = kNoPivot;
        search(now_ns, sink);
    }
}

bool Optimal::complete() const {
    return std::none_of(queues_.begin(), queues_.end(), [](const Queue& queue) { return queue.exhausted(); });
}

// The next message's stamp; where it has not come yet, the earliest that it can have.
Nanos Optimal::next_stamp(const Queue& queue) const {
    if (!queue.exhausted()) {
        return queue.messages.at(queue.examined).stamp_ns;
    }
    return std::max(plus(queue.messages.back().stamp_ns, queue.lower_bound_ns), pivot_ns_);
}

Optimal::Edges Optimal::edges() const {
    Edges edges{0, 0, next_stamp(queues_[0]), next_stamp(queues_[0])};
    for (std::size_t i = 1; i < queues_.size(); ++i) {
        const Nanos stamp = next_stamp(queues_[i]);
        if (stamp < edges.start_ns) {
            edges.first = i;
            edges.start_ns = stamp;
        }
        if (stamp >= edges.end_ns) {
            edges.last = i;
            edges.end_ns = stamp;
        }
    }
    return edges;
}

// Whether a set between these stamps, its lateness weighed with the age penalty, is no better than the candidate.
bool Optimal::no_better(Nanos end_ns, Nanos start_ns) const {
    const double later = static_cast<double>(minus(end_ns, candidate_end_ns_));
    return std::round(later * (1.0 + penalty_)) >= static_cast<double>(minus(start_ns, candidate_start_ns_));
}

void Optimal::search(Nanos now_ns, Sink& sink) {
    while (complete()) {
        const Edges found = edges();
        for (std::size_t i = 0; i < queues_.size(); ++i) {
            queues_[i].dropped = queues_[i].dropped && i == found.last;
        }
        if (pivot_ == kNoPivot) {
            if (!start_search(found, sink)) {
                continue;
            }
        } else if (!no_better(found.end_ns, found.start_ns)) {
            adopt(found, sink);
        }
        ++queues_[found.first].examined;
        if (found.first == pivot_ || no_better(found.end_ns, pivot_ns_)) {
            emit(now_ns, sink);
        } else if (!complete()) {
            look_ahead(now_ns, sink);
        }
    }
}

// Makes the first messages the candidate and the latest of them the pivot; false where they cannot be a set.
bool Optimal::start_search(const Edges& edges, Sink& sink) {
    if (minus(edges.end_ns, edges.start_ns) > max_interval_ns_ || queues_[edges.last].dropped) {
        drop_front(queues_[edges.first], Release::kPassed, sink);
        return false;
    }
    adopt(edges, sink);
    pivot_ = edges.last;
    pivot_ns_ = edges.end_ns;
    return true;
}

void Optimal::adopt(const Edges& edges, Sink& sink) {
    candidate_start_ns_ = edges.start_ns;
    candidate_end_ns_ = edges.end_ns;
    for (Queue& queue : queues_) {
        for (; queue.examined > 0; --queue.examined) {
            drop_front(queue, Release::kPassed, sink);
        }
    }
}

// Goes on as if each stream's next message came as early as it can: either even that proves the candidate best, or
// the search stops here until more is known.
void Optimal::look_ahead(Nanos now_ns, Sink& sink) {
    for (Queue& queue : queues_) {
        queue.saved = queue.examined;
    }
    for (;;) {
        const Edges possible = edges();
        if (no_better(possible.end_ns, pivot_ns_)) {
            emit(now_ns, sink);
            return;
        }
        if (!no_better(possible.end_ns, possible.start_ns)) {
            break;
        }
        ++queues_[possible.first].examined;
    }
    for (Queue& queue : queues_) {
        queue.examined = queue.saved;
    }
}

void Optimal::emit(Nanos now_ns, Sink& sink) {
    pivot_ = kNoPivot;
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        queues_[i].examined = 0;
        matched_[i] = queues_[i].messages.front();
        queues_[i].messages.pop_front();
        assembler_.set(matched_[i], Presence::kFresh);
    }
    assembler_.emit(matched_[anchor_].stamp_ns, now_ns, false, sink);
    for (const Record& record : matched_) {
        intake_.release(record, Release::kUsed, sink);
    }
}

void Optimal::drop_front(Queue& queue, Release why, Sink& sink) {
    intake_.release(queue.messages.front(), why, sink);
    queue.messages.pop_front();
}

void Optimal::flush(Nanos, Sink& sink) {
    for (Queue& queue : queues_) {
        queue.examined = 0;
        while (!queue.messages.empty()) {
            drop_front(queue, Release::kFlushed, sink);
        }
    }
    pivot_ = kNoPivot;
    intake_.flush(sink);
}

}  // namespace edge::sync
