#include "edge/live/mailbox.hpp"

#include <stdexcept>
#include <utility>

namespace edge::live {

Mailbox::Mailbox(std::size_t depth, Overflow overflow, const std::vector<std::size_t>& most) : overflow_(overflow) {
    constexpr std::size_t kDeepest = 4096;
    if (depth == 0 || depth > kDeepest) {
        throw std::invalid_argument("a mailbox holds between 1 and 4096 sets");
    }
    sets_.assign(depth, MatchedSet(most));
}

bool Mailbox::put(MatchedSet& set) {
    bool full = false;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (closed_) {
            return true;
        }
        full = count_ == sets_.size();
        dropped_.fetch_add(full ? 1 : 0, std::memory_order_relaxed);
        if (full && overflow_ == Overflow::kDropNewest) {
            return true;
        }
        // In a full queue the oldest's place is where the newest goes.
        std::swap(sets_[(first_ + count_) % sets_.size()], set);
        first_ = full ? (first_ + 1) % sets_.size() : first_;
        count_ += full ? 0 : 1;
    }
    filled_.notify_one();
    return full;
}

Taken Mailbox::take(MatchedSet& set, Nanos timeout_ns) {
    const Nanos deadline = timeout_ns == sync::kNever ? sync::kNever : sync::plus(monotonic_now_ns(), timeout_ns);
    std::unique_lock<std::mutex> lock(mutex_);
    while (count_ == 0) {
        if (closed_) {
            return Taken::kClosed;
        }
        if (deadline != sync::kNever && monotonic_now_ns() >= deadline) {
            return Taken::kTimeout;
        }
        filled_.wait_until(lock, deadline);
    }
    std::swap(sets_[first_], set);
    first_ = (first_ + 1) % sets_.size();
    --count_;
    return Taken::kSet;
}

void Mailbox::close() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
    }
    filled_.notify_all();
}

std::size_t Mailbox::waiting() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return count_;
}

}  // namespace edge::live
