// No policy allocates once it is constructed.
#include "counting_allocator.hpp"
#include "sync_ledger.hpp"

namespace {

using namespace ledger;
using sync::kMillisecond;
using sync::Nanos;

class Count final : public sync::Sink {
 public:
    void emitted(const sync::Emission&) override { ++sets; }
    void released(std::uint64_t, std::uint32_t, sync::Release) override { ++gone; }
    std::uint64_t sets = 0, gone = 0;
};

// A minute with an outage, a clock step, losses and late messages; equal stamps now and then for the exact policy.
std::uint64_t play(sync::Policy& policy, Count& sink) {
    constexpr Nanos kPeriods[] = {33 * kMillisecond, 100 * kMillisecond, 20 * kMillisecond};
    Draw draw(7);
    Nanos next[3] = {0, 0, 0};
    std::uint64_t handle = 0;
    while (next[1] < 60 * sync::kSecond) {
        std::uint32_t stream = 0;
        for (std::uint32_t i = 1; i < 3; ++i) {
            stream = next[i] < next[stream] ? i : stream;
        }
        const Nanos stamp = next[stream];
        next[stream] += kPeriods[stream];
        const bool out = stream == 1 && stamp > 20 * sync::kSecond && stamp < 25 * sync::kSecond;
        if (out || draw.below(20) == 0) {
            continue;
        }
        const Nanos step = stamp > 40 * sync::kSecond ? -5 * sync::kSecond : 0;
        const Nanos late = draw.below(50) == 0 ? 200 * kMillisecond : 0;
        const Nanos arrival = stamp + 5 * kMillisecond + late;
        for (Nanos due = policy.next_deadline_ns(); due <= arrival; due = policy.next_deadline_ns()) {
            policy.advance(due, sink);
        }
        policy.push({stream, stamp + step, arrival, handle++, stream == 2 ? kPeriods[2] : 0}, arrival, sink);
    }
    policy.flush(60 * sync::kSecond, sink);
    return handle;
}

void nothing_is_allocated_after_construction() {
    for (const bool windows : {false, true}) {
        for (const std::unique_ptr<sync::Policy>& policy : policies(windows)) {
            Count sink;
            const std::uint64_t before = counting::allocations;
            const std::uint64_t pushed = play(*policy, sink);
            CHECK(counting::allocations == before);
            CHECK(sink.gone == pushed);
            CHECK(sink.sets > 0);
        }
    }
}

}  // namespace

int main() {
    nothing_is_allocated_after_construction();
    return 0;
}
