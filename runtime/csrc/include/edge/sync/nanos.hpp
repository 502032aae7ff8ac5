// Time in int64 nanoseconds, with arithmetic that stops at the ends of the range instead of wrapping.
#pragma once

#include <cstdint>
#include <limits>

namespace edge::sync {

using Nanos = std::int64_t;

constexpr Nanos kNever = std::numeric_limits<Nanos>::max();    // later than every instant
constexpr Nanos kLongAgo = std::numeric_limits<Nanos>::min();  // earlier than every instant
constexpr Nanos kMillisecond = 1'000'000;
constexpr Nanos kSecond = 1'000'000'000;
// Stamps and arrivals beyond are refused, so that differences of two accepted ones cannot overflow (127 years).
constexpr Nanos kFarthest = 4'000'000'000'000'000'000;
// Periods, budgets, ages and windows beyond are refused (115 days).
constexpr Nanos kLongest = 10'000'000'000'000'000;

inline Nanos plus(Nanos a, Nanos b) {
    Nanos sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? kNever : kLongAgo) : sum;
}

inline Nanos minus(Nanos a, Nanos b) {
    Nanos difference = 0;
    return __builtin_sub_overflow(a, b, &difference) ? (b < 0 ? kNever : kLongAgo) : difference;
}

inline Nanos distance(Nanos a, Nanos b) { return a < b ? minus(b, a) : minus(a, b); }

inline bool representable(Nanos instant) { return instant >= -kFarthest && instant <= kFarthest; }

}  // namespace edge::sync
