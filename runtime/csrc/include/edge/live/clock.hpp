// Time for the thread that matches: the machine's, or one that moves only when it is told.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "edge/live/condition.hpp"

namespace edge::live {

// One thread sleeps on it, any thread wakes it. A wake that comes before the sleep is not lost. It is a futex and no
// mutex with a condition, so that who wakes never waits: not even for a sleeper that was preempted with the mutex held.
class Alarm {
 public:
    void wake();
    // Until it is woken or until the deadline on CLOCK_MONOTONIC. Whether it was woken.
    bool sleep_until(Nanos deadline_ns);

 private:
    std::atomic<std::uint32_t> woken_{0};
};

class Clock {
 public:
    virtual ~Clock() = default;
    virtual Nanos now_ns() const = 0;
    // Until `alarm` is woken or until the deadline on this clock.
    virtual void sleep(Alarm& alarm, Nanos deadline_ns) = 0;
};

// The host's CLOCK_MONOTONIC, which arrivals are on; or so much ahead of it, where a recording is played back.
class MonotonicClock final : public Clock {
 public:
    explicit MonotonicClock(Nanos ahead_ns = 0) : ahead_ns_(ahead_ns) {}
    Nanos now_ns() const override { return sync::plus(monotonic_now_ns(), ahead_ns_); }
    void sleep(Alarm& alarm, Nanos deadline_ns) override {
        alarm.sleep_until(deadline_ns == sync::kNever ? sync::kNever : sync::minus(deadline_ns, ahead_ns_));
    }

 private:
    Nanos ahead_ns_;
};

// For tests and for replays: stands still until `move_to`; never runs back.
class ManualClock final : public Clock {
 public:
    explicit ManualClock(Nanos start_ns = 0);

    Nanos now_ns() const override { return now_ns_.load(std::memory_order_acquire); }
    void sleep(Alarm& alarm, Nanos deadline_ns) override;
    void move_to(Nanos now_ns);

 private:
    std::mutex mutex_;
    std::vector<Alarm*> sleepers_;
    std::atomic<Nanos> now_ns_;
};

}  // namespace edge::live
