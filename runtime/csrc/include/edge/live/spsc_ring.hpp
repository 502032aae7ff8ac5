// One thread pushes, one other pops; nothing is allocated after construction, and a full ring refuses the newest.
#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "edge/sync/power_of_two.hpp"

namespace edge::live {

constexpr std::size_t kCacheLine = 64;

// The oldest cannot make room: only the popping thread may move `head_`. Each side keeps the other's index as it
// last saw it and looks again only when that is no longer enough, so that the two rarely touch one cache line.
template <typename T>
class SpscRing {
    static_assert(std::is_trivially_copyable_v<T>);

 public:
    explicit SpscRing(std::size_t least) : items_(sync::power_of_two(least)), mask_(items_.size() - 1) {}

    std::size_t capacity() const { return items_.size(); }

    // The pushing thread. The index is stored sequentially consistent: whoever pushes and then finds the reader
    // awake must be seen by it before it sleeps (SyncThread).
    bool push(const T& item) {
        const std::size_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_seen_ == items_.size()) {
            head_seen_ = head_.load(std::memory_order_acquire);
            if (tail - head_seen_ == items_.size()) {
                return false;
            }
        }
        items_[tail & mask_] = item;
        tail_.store(tail + 1, std::memory_order_seq_cst);
        return true;
    }
    bool half_full() {
        const std::size_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_seen_ > items_.size() / 2) {
            head_seen_ = head_.load(std::memory_order_acquire);
        }
        return tail - head_seen_ > items_.size() / 2;
    }

    // The popping thread. What `front` names is valid until `pop`; null where the ring is empty.
    const T* front() {
        const std::size_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_seen_) {
            tail_seen_ = tail_.load(std::memory_order_seq_cst);
            if (head == tail_seen_) {
                return nullptr;
            }
        }
        return &items_[head & mask_];
    }
    void pop() { head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
    std::size_t depth() const { return tail_.load(std::memory_order_seq_cst) - head_.load(std::memory_order_relaxed); }

 private:
    std::vector<T> items_;
    std::size_t mask_;
    alignas(kCacheLine) std::atomic<std::size_t> tail_{0};
    std::size_t head_seen_ = 0;  // the pushing thread's
    alignas(kCacheLine) std::atomic<std::size_t> head_{0};
    std::size_t tail_seen_ = 0;  // the popping thread's
};

}  // namespace edge::live
