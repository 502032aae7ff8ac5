#include "edge/live/condition.hpp"

#include <algorithm>
#include <ctime>
#include <system_error>

namespace edge::live {

Nanos monotonic_now_ns() {
    std::timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<Nanos>(now.tv_sec) * sync::kSecond + static_cast<Nanos>(now.tv_nsec);
}

std::timespec as_timespec(Nanos instant_ns) {
    const Nanos at = std::max<Nanos>(instant_ns, 0);
    std::timespec time{};
    time.tv_sec = static_cast<std::time_t>(at / sync::kSecond);
    time.tv_nsec = static_cast<long>(at % sync::kSecond);
    return time;
}

Condition::Condition() {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    const int error = pthread_cond_init(&condition_, &attributes);
    pthread_condattr_destroy(&attributes);
    if (error != 0) {
        throw std::system_error(error, std::generic_category(), "a condition variable cannot be made");
    }
}

void Condition::wait_until(std::unique_lock<std::mutex>& lock, Nanos deadline_ns) {
    if (deadline_ns == sync::kNever) {
        pthread_cond_wait(&condition_, lock.mutex()->native_handle());
        return;
    }
    const std::timespec until = as_timespec(deadline_ns);
    pthread_cond_timedwait(&condition_, lock.mutex()->native_handle(), &until);
}

}  // namespace edge::live
