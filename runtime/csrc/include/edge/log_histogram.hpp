// Durations in logarithmic buckets (the layout of HdrHistogram): percentiles of a run of any length in constant memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edge {

// Nanoseconds from 0 to one hour. Up to 127 every value has a bucket of its own; above, each power of two is cut into
// 64 buckets of equal width, so that the middle of a bucket is at most 1/128 (0.8 %) away from what fell into it.
// Smallest, largest and sum are exact. Nothing is allocated after construction; not made for several threads.
class LogHistogram {
 public:
    static constexpr std::int64_t kHighest = 3'600'000'000'000;  // one hour

    LogHistogram();

    // Counts a value. A negative one or one above an hour is also counted as out of range; it keeps its rank.
    void add(std::int64_t ns) {
        if (ns < 0) {
            ++underflow_;
        } else if (ns > kHighest) {
            ++overflow_;
        } else {
            ++buckets_[bucket_of(static_cast<std::uint64_t>(ns))];
        }
        note(ns);
    }

    // As if every value of the other one had been added here.
    void merge(const LogHistogram& other);

    // Forgets everything.
    void clear();

    // The smallest value that at least `share` (0 < share <= 1) of all values do not exceed, within 0.8 %. Where its
    // rank is among the values below (above) the range it is the smallest (largest) value. 0 of no values.
    std::int64_t percentile(double share) const;

    std::uint64_t count() const { return count_; }
    std::uint64_t underflow() const { return underflow_; }
    std::uint64_t overflow() const { return overflow_; }
    std::int64_t min() const { return count_ > 0 ? min_ : 0; }
    std::int64_t max() const { return count_ > 0 ? max_ : 0; }
    // The exact sum is high * 2^32 + low.
    std::int64_t sum_high() const { return sum_high_; }
    std::uint64_t sum_low() const { return sum_low_; }

 private:
    static constexpr unsigned kBits = 6;     // 64 buckets a power of two
    static constexpr unsigned kTopBit = 41;  // of kHighest
    static constexpr std::size_t kBuckets = std::size_t{kTopBit - kBits + 2} << kBits;

    static std::size_t bucket_of(std::uint64_t ns) {
        if (ns < (1U << kBits)) {
            return static_cast<std::size_t>(ns);
        }
        const unsigned shift = 63U - kBits - static_cast<unsigned>(__builtin_clzll(ns));
        return (std::size_t{shift} << kBits) + static_cast<std::size_t>(ns >> shift);
    }
    static std::int64_t middle_of(std::size_t bucket);

    void note(std::int64_t ns) {
        min_ = ns < min_ ? ns : min_;
        max_ = ns > max_ ? ns : max_;
        sum_high_ += ns >> 32;
        sum_low_ += static_cast<std::uint64_t>(ns) & 0xffffffffU;
        ++count_;
    }
    std::uint64_t rank_of(double share) const;

    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_, underflow_, overflow_, sum_low_;
    std::int64_t min_, max_, sum_high_;
};

}  // namespace edge
