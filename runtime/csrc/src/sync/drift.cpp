#include "edge/sync/drift.hpp"

#include <algorithm>
#include <limits>

namespace edge::sync {

void Drift::add(Nanos arrival_ns, Nanos delay_ns) {
    if (count_ == 0) {
        length_ns_ = kShortest;
    }
    if (count_ == 0 || minus(arrival_ns, stretches_[count_ - 1].start_ns) >= length_ns_) {
        make_room();
        stretches_[count_++] = {arrival_ns, arrival_ns, delay_ns};
        return;
    }
    Stretch& last = stretches_[count_ - 1];
    if (delay_ns < last.delay_ns) {
        last.arrival_ns = arrival_ns;
        last.delay_ns = delay_ns;
    }
}

void Drift::make_room() {
    if (count_ < kStretches) {
        return;
    }
    if (length_ns_ >= kLongestStretch) {
        std::move(stretches_.begin() + 1, stretches_.end(), stretches_.begin());
        --count_;
        return;
    }
    for (std::size_t pair = 0; pair < kStretches / 2; ++pair) {
        const Stretch &first = stretches_[2 * pair], &second = stretches_[2 * pair + 1];
        const Stretch& quicker = first.delay_ns <= second.delay_ns ? first : second;
        stretches_[pair] = {first.start_ns, quicker.arrival_ns, quicker.delay_ns};
    }
    count_ = kStretches / 2;
    length_ns_ *= 2;
}

double Drift::ppm() const {
    if (count_ < 3) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    double mean_x = 0.0, mean_y = 0.0, xx = 0.0, xy = 0.0;
    const auto x = [this](std::size_t i) {
        return 1e-9 * static_cast<double>(minus(stretches_[i].arrival_ns, stretches_[0].arrival_ns));
    };
    const auto y = [this](std::size_t i) {
        return 1e-9 * static_cast<double>(minus(stretches_[i].delay_ns, stretches_[0].delay_ns));
    };
    for (std::size_t i = 0; i < count_; ++i) {
        mean_x += x(i) / static_cast<double>(count_);
        mean_y += y(i) / static_cast<double>(count_);
    }
    for (std::size_t i = 0; i < count_; ++i) {
        xx += (x(i) - mean_x) * (x(i) - mean_x);
        xy += (x(i) - mean_x) * (y(i) - mean_y);
    }
    return xx > 0.0 ? -1e6 * xy / xx : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace edge::sync
