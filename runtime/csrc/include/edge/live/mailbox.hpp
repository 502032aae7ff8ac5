// Fused sets on their way to whoever takes them: the latest only, or a bounded queue.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "edge/live/condition.hpp"
#include "edge/live/matched_set.hpp"

namespace edge::live {

enum class Overflow : std::uint8_t { kDropOldest, kDropNewest };
enum class Taken : std::uint8_t { kSet, kTimeout, kClosed };

// Sets are swapped in and out, so neither side copies nor allocates, and the lock is held for some pointers only.
class Mailbox {
 public:
    Mailbox(std::size_t depth, Overflow overflow, const std::vector<std::size_t>& most);

    // Leaves in `set` what had to be dropped, and says whether there is anything; closed, it drops what it is given.
    bool put(MatchedSet& set);
    // `set` gives its memory in exchange. What is there can still be taken after `close`.
    Taken take(MatchedSet& set, Nanos timeout_ns);
    void close();

    std::size_t depth() const { return sets_.size(); }
    std::size_t waiting() const;
    std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
    mutable std::mutex mutex_;
    Condition filled_;
    std::vector<MatchedSet> sets_;
    Overflow overflow_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
    bool closed_ = false;
    std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace edge::live
