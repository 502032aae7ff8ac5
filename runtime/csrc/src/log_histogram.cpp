#include "edge/log_histogram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace edge {

LogHistogram::LogHistogram() : buckets_(kBuckets) { clear(); }

void LogHistogram::clear() {
    std::fill(buckets_.begin(), buckets_.end(), 0);
    count_ = underflow_ = overflow_ = sum_low_ = 0;
    sum_high_ = 0;
    min_ = std::numeric_limits<std::int64_t>::max();
    max_ = std::numeric_limits<std::int64_t>::min();
}

void LogHistogram::merge(const LogHistogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) {
        buckets_[i] += other.buckets_[i];
    }
    count_ += other.count_;
    underflow_ += other.underflow_;
    overflow_ += other.overflow_;
    sum_high_ += other.sum_high_;
    sum_low_ += other.sum_low_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
}

std::int64_t LogHistogram::percentile(double share) const {
    const std::uint64_t rank = rank_of(share);
    std::uint64_t seen = underflow_;
    if (rank <= seen) {
        return min();
    }
    for (std::size_t i = 0; i < kBuckets; ++i) {
        seen += buckets_[i];
        if (seen >= rank) {
            return std::clamp(middle_of(i), min_, max_);
        }
    }
    return max_;
}

// 0.07 * 100 is a hair above 7, so what is no more than rounding above a whole rank is that rank.
std::uint64_t LogHistogram::rank_of(double share) const {
    const double exact = share * static_cast<double>(count_);
    const double nearest = std::round(exact);
    const double rank = std::fabs(exact - nearest) < 1e-9 * std::max(1.0, exact) ? nearest : std::ceil(exact);
    return std::min(count_, static_cast<std::uint64_t>(std::max(1.0, rank)));
}

std::int64_t LogHistogram::middle_of(std::size_t bucket) {
    if (bucket < (std::size_t{2} << kBits)) {
        return static_cast<std::int64_t>(bucket);
    }
    const std::size_t shift = (bucket >> kBits) - 1;
    const std::uint64_t lowest = static_cast<std::uint64_t>(bucket - (shift << kBits)) << shift;
    return static_cast<std::int64_t>(lowest + ((std::uint64_t{1} << shift) >> 1));
}

}  // namespace edge
