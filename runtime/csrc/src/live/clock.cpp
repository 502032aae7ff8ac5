#include "edge/live/clock.hpp"

#include <algorithm>

namespace edge::live {

void Alarm::wake() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        woken_ = true;
    }
    condition_.notify_one();
}

bool Alarm::sleep_until(Nanos deadline_ns) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!woken_ && (deadline_ns == sync::kNever || monotonic_now_ns() < deadline_ns)) {
        condition_.wait_until(lock, deadline_ns);
    }
    const bool was_woken = woken_;
    woken_ = false;
    return was_woken;
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
