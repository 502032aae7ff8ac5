// A condition variable whose deadlines are on CLOCK_MONOTONIC. std::condition_variable promises that only where the C
// library has pthread_cond_clockwait, and waits on the wall clock elsewhere.
#pragma once

#include <pthread.h>

#include <ctime>
#include <mutex>

#include "edge/sync/nanos.hpp"

namespace edge::live {

using sync::Nanos;

Nanos monotonic_now_ns();
// An instant on that clock; one before its beginning counts as that.
std::timespec as_timespec(Nanos instant_ns);

class Condition {
 public:
    Condition();
    ~Condition() { pthread_cond_destroy(&condition_); }
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;

    // Until it is notified, until the deadline, or without a reason.
    void wait_until(std::unique_lock<std::mutex>& lock, Nanos deadline_ns);
    void notify_one() { pthread_cond_signal(&condition_); }
    void notify_all() { pthread_cond_broadcast(&condition_); }

 private:
    pthread_cond_t condition_;
};

}  // namespace edge::live
