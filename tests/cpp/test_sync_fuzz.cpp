// Stamps in any order, twice, backwards, at the ends of the range: nothing breaks, and the books are right.
#include <algorithm>

#include "sync_ledger.hpp"

namespace {

using namespace ledger;
using sync::kMillisecond;
using sync::kSecond;
using sync::Message;
using sync::Nanos;

constexpr std::size_t kMessages = 1500;

Nanos extreme(Draw& draw) {
    constexpr Nanos kEnds[] = {sync::kLongAgo,  sync::kLongAgo + 1,  -sync::kFarthest - 1, -sync::kFarthest, -1, 0, 1,
                               sync::kFarthest, sync::kFarthest + 1, sync::kNever - 1,     sync::kNever};
    return kEnds[draw.below(std::size(kEnds))];
}

// How wild the stamps are: healthy with faults, random within seconds, random within 64 bits.
enum class Kind { kFaulty, kShuffled, kWild };

struct Source {
    Draw& draw;
    Kind kind;
    Nanos now = 1000 * kSecond;
    Nanos next[3] = {1000 * kSecond, 1000 * kSecond, 1000 * kSecond};
    Nanos offset[3] = {0, 0, 0};

    Message make(std::uint64_t handle) {
        constexpr Nanos kPeriods[] = {33 * kMillisecond, 100 * kMillisecond, 20 * kMillisecond};
        std::uint32_t stream = 0;
        for (std::uint32_t i = 1; i < 3; ++i) {
            stream = next[i] < next[stream] ? i : stream;
        }
        next[stream] += kPeriods[stream];
        if (draw.below(40) == 0) {
            next[stream] += draw.between(0, kSecond);  // silence
        }
        if (draw.below(60) == 0) {
            offset[stream] = draw.between(-5 * kSecond, 5 * kSecond);
        }
        now = std::max(now, next[stream]);
        Message message{stream, next[stream] + offset[stream] + draw.between(0, kMillisecond),
                        now + draw.between(0, 30 * kMillisecond), handle, stream == 2 ? 20 * kMillisecond : 0};
        if (kind == Kind::kShuffled || draw.below(10) == 0) {
            const Nanos grid = draw.below(2) == 0 ? 100 : 1;  // equal stamps are what the exact policy lives on
            message.stamp_ns = now + draw.between(-300 / grid, 300 / grid) * grid * kMillisecond;
            message.stamp_ns -= grid > 1 ? message.stamp_ns % (grid * kMillisecond) : 0;
        }
        if (kind == Kind::kWild && draw.below(3) == 0) {
            message.stamp_ns = draw.below(2) == 0 ? extreme(draw) : static_cast<Nanos>(draw.next());
            message.arrival_ns = draw.below(4) == 0 ? extreme(draw) : message.arrival_ns;
            message.duration_ns = draw.below(4) == 0 ? extreme(draw) : message.duration_ns;
            message.stream = static_cast<std::uint32_t>(draw.below(5));
        }
        return message;
    }
};

void run(sync::Policy& policy, Kind kind, std::uint64_t seed, bool windows) {
    Draw draw(seed);
    Source source{draw, kind};
    Ledger books(kMessages);
    books.windowed = windows;
    Nanos last_stamp[3] = {};
    for (std::size_t i = 0; i < kMessages; ++i) {
        Message message = source.make(i);
        if (message.stream < 3) {
            message.stamp_ns = draw.below(15) == 0 ? last_stamp[message.stream] : message.stamp_ns;
            last_stamp[message.stream] = message.stamp_ns;
        }
        const Nanos now = kind == Kind::kWild && draw.below(50) == 0 ? extreme(draw) : message.arrival_ns;
        policy.push(message, now, books);
        if (draw.below(4) == 0) {
            const Nanos due = policy.next_deadline_ns();
            const Nanos until = draw.below(2) == 0 || due == sync::kNever ? now : due;
            policy.advance(until, books);
            CHECK(policy.next_deadline_ns() > std::min(until, sync::kFarthest));
        }
    }
    policy.flush(source.now, books);
    books.check_all_gone(kMessages);
    std::uint64_t received = 0;
    for (std::uint32_t stream = 0; stream < policy.streams(); ++stream) {
        received += policy.health(stream).received;
    }
    CHECK(received <= kMessages);
}

void no_order_of_stamps_breaks_a_policy() {
    for (const Kind kind : {Kind::kFaulty, Kind::kShuffled, Kind::kWild}) {
        for (std::uint64_t seed = 1; seed <= rounds(150); ++seed) {
            for (const bool windows : {false, true}) {
                for (const std::unique_ptr<sync::Policy>& policy : policies(windows)) {
                    run(*policy, kind, seed, windows);
                }
            }
        }
    }
}

}  // namespace

int main() {
    no_order_of_stamps_breaks_a_policy();
    return 0;
}
