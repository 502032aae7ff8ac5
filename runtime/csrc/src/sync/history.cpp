#include "edge/sync/history.hpp"

#include <cassert>

#include "edge/sync/power_of_two.hpp"

namespace edge::sync {

History::History(std::size_t capacity) : ring_(power_of_two(capacity)), mask_(ring_.size() - 1) {}

std::size_t History::count_until(Nanos stamp_ns) const {
    // From the back: what is asked for lies near the newest record.
    std::size_t count = size_;
    while (count > 0 && at(count - 1).stamp_ns > stamp_ns) {
        --count;
    }
    return count;
}

bool History::contains(Nanos stamp_ns) const {
    const std::size_t count = count_until(stamp_ns);
    return count > 0 && at(count - 1).stamp_ns == stamp_ns;
}

void History::insert(const Record& record) {
    assert(!full());
    std::size_t position = size_++;
    for (; position > 0 && at(position - 1).stamp_ns > record.stamp_ns; --position) {
        at(position) = at(position - 1);
    }
    at(position) = record;
}

void History::pop_front() {
    assert(size_ > 0);
    head_ = (head_ + 1) & mask_;
    --size_;
}

void History::erase(std::size_t position) {
    assert(position < size_);
    for (; position + 1 < size_; ++position) {
        at(position) = at(position + 1);
    }
    --size_;
}

}  // namespace edge::sync
