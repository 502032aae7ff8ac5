// Percentiles against sorted values, exact extremes and sums, and no allocation after construction.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <random>
#include <vector>

#include "edge/log_histogram.hpp"
#include "harness.hpp"

namespace {

std::atomic<std::uint64_t> allocations{0};

void* counted(std::size_t size) {
    ++allocations;
    void* const memory = std::malloc(size > 0 ? size : 1);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using edge::LogHistogram;

constexpr double kError = 0.0079;  // half a bucket of 1/64, and rounding

std::vector<std::int64_t> spread_over_decades(std::size_t count) {
    std::mt19937_64 random(3);
    std::uniform_real_distribution<double> exponent(0.0, std::log(3.6e12));
    std::vector<std::int64_t> values(count);
    for (std::int64_t& value : values) {
        value = static_cast<std::int64_t>(std::exp(exponent(random)));
    }
    return values;
}

void percentiles_are_within_one_percent() {
    std::vector<std::int64_t> values = spread_over_decades(20'000);
    LogHistogram histogram;
    for (const std::int64_t value : values) {
        histogram.add(value);
    }
    std::sort(values.begin(), values.end());
    for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const auto rank = static_cast<std::size_t>(std::ceil(share * 20'000 - 1e-9));
        const auto exact = static_cast<double>(values[rank - 1]);
        CHECK_NEAR(static_cast<double>(histogram.percentile(share)), exact, kError * exact);
    }
}

void every_edge_of_a_bucket_is_within_one_percent() {
    for (std::int64_t power = 1; power <= LogHistogram::kHighest; power *= 2) {
        for (std::int64_t offset = -2; offset <= 2; ++offset) {
            const std::int64_t value = std::max<std::int64_t>(0, power + offset);
            LogHistogram histogram;
            histogram.add(0);
            histogram.add(value);
            histogram.add(LogHistogram::kHighest);
            CHECK_NEAR(static_cast<double>(histogram.percentile(0.5)), static_cast<double>(value),
                       kError * static_cast<double>(value));
        }
    }
}

void extremes_and_sum_are_exact() {
    LogHistogram histogram;
    CHECK(histogram.count() == 0 && histogram.percentile(0.5) == 0 && histogram.max() == 0);
    histogram.add(123'456'789);
    histogram.add(-5);
    histogram.add(LogHistogram::kHighest + 1);
    CHECK(histogram.count() == 3);
    CHECK(histogram.underflow() == 1 && histogram.overflow() == 1);
    CHECK(histogram.min() == -5 && histogram.max() == LogHistogram::kHighest + 1);
    CHECK(histogram.percentile(0.1) == -5 && histogram.percentile(1.0) == LogHistogram::kHighest + 1);
    const std::int64_t sum =
        histogram.sum_high() * (std::int64_t{1} << 32) + static_cast<std::int64_t>(histogram.sum_low());
    CHECK(sum == 123'456'789 - 5 + LogHistogram::kHighest + 1);
}

void a_merged_one_holds_both() {
    const std::vector<std::int64_t> values = spread_over_decades(1'000);
    LogHistogram left, right, whole;
    for (std::size_t i = 0; i < values.size(); ++i) {
        (i % 3 == 0 ? left : right).add(values[i]);
        whole.add(values[i]);
    }
    left.merge(right);
    CHECK(left.count() == whole.count() && left.min() == whole.min() && left.max() == whole.max());
    CHECK(static_cast<double>(left.sum_high()) * 4.294967296e9 + static_cast<double>(left.sum_low()) ==
          static_cast<double>(whole.sum_high()) * 4.294967296e9 + static_cast<double>(whole.sum_low()));
    for (const double share : {0.01, 0.5, 0.99}) {
        CHECK(left.percentile(share) == whole.percentile(share));
    }
    left.clear();
    CHECK(left.count() == 0 && left.percentile(0.5) == 0);
}

void nothing_is_allocated_after_construction() {
    const std::vector<std::int64_t> values = spread_over_decades(1'000);
    LogHistogram histogram;
    const LogHistogram other;
    const std::uint64_t before = allocations;
    for (const std::int64_t value : values) {
        histogram.add(value);
    }
    histogram.merge(other);
    CHECK(histogram.percentile(0.99) > 0);
    histogram.clear();
    CHECK(allocations == before);
}

}  // namespace

int main() {
    percentiles_are_within_one_percent();
    every_edge_of_a_bucket_is_within_one_percent();
    extremes_and_sum_are_exact();
    a_merged_one_holds_both();
    nothing_is_allocated_after_construction();
    return 0;
}
