#include "edge/live/clock.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace edge::live {
namespace {

// FUTEX_WAIT_BITSET takes an absolute time on CLOCK_MONOTONIC; futex(2).
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, const std::timespec* until) {
    static_assert(sizeof(word) == sizeof(std::uint32_t));
    syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

}  // namespace

void Alarm::wake() {
    if (woken_.exchange(1, std::memory_order_seq_cst) == 0) {
        syscall(SYS_futex, &woken_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
    }
}

bool Alarm::sleep_until(Nanos deadline_ns) {
    const std::timespec until = as_timespec(deadline_ns);
    for (;;) {
        if (woken_.exchange(0, std::memory_order_seq_cst) != 0) {
            return true;
        }
        if (deadline_ns != sync::kNever && monotonic_now_ns() >= deadline_ns) {
            return false;
        }
        futex_wait(woken_, 0, deadline_ns == sync::kNever ? nullptr : &until);
    }
}

ManualClock::ManualClock(Nanos start_ns) : now_ns_(start_ns) { sleepers_.reserve(8); }

void ManualClock::sleep(Alarm& alarm, Nanos deadline_ns) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (now_ns() >= deadline_ns) {
            return;
        }
        sleepers_.push_back(&alarm);
    }
    alarm.sleep_until(sync::kNever);
    const std::lock_guard<std::mutex> lock(mutex_);
    sleepers_.erase(std::find(sleepers_.begin(), sleepers_.end(), &alarm));
}

void ManualClock::move_to(Nanos now_ns) {
    const std::lock_guard<std::mutex> lock(mutex_);
    now_ns_.store(std::max(now_ns, now_ns_.load(std::memory_order_relaxed)), std::memory_order_release);
    for (Alarm* const sleeper : sleepers_) {
        sleeper->wake();
    }
}

}  // namespace edge::live
