// The running thread allocates nothing, and what it holds was known before.
#include "counting_allocator.hpp"
#include "live_feed.hpp"

namespace {

using namespace feed;
using live::LiveConfig;
using live::ManualClock;
using live::MatchedSet;
using live::SyncThread;
using live::Taken;

constexpr Nanos kPatience = 30 * sync::kSecond;

void step(SyncThread& thread, ManualClock& clock, std::vector<Producer>& producers, MatchedSet& set, Nanos now) {
    constexpr Nanos kPeriods[] = {30 * kMillisecond, 100 * kMillisecond, 20 * kMillisecond};
    clock.move_to(now);
    for (std::uint32_t i = 0; i < 3; ++i) {
        const bool out = i == 1 && now > 6 * sync::kSecond && now < 8 * sync::kSecond;
        if (now % kPeriods[i] == 0 && !out) {
            const Nanos back = now > 10 * sync::kSecond ? -5 * sync::kSecond : 0;
            CHECK(producers[i].push(now + back, now, i == 2 ? kPeriods[2] : 0) == live::Push::kAccepted);
        }
    }
    CHECK(thread.settle(kPatience));
    if (now % (300 * kMillisecond) == 0 && thread.take(set, 0) == Taken::kSet) {
        thread.release(set);
    }
}

// With an outage and a clock step; sets are taken too seldom, so that some are dropped.
void nothing_is_allocated_once_it_runs(bool windows, std::size_t depth) {
    const auto clock = std::make_shared<ManualClock>();
    SyncThread thread(anchored(windows), LiveConfig{64, depth}, clock);
    std::vector<Producer> producers;
    for (std::uint32_t i = 0; i < 3; ++i) {
        producers.emplace_back(thread, i, 2000);
    }
    MatchedSet set = thread.make_set();
    for (Nanos now = 0; now < sync::kSecond; now += 10 * kMillisecond) {
        step(thread, *clock, producers, set, now);
    }
    const std::uint64_t before = counting::allocations;
    for (Nanos now = sync::kSecond; now < 15 * sync::kSecond; now += 10 * kMillisecond) {
        step(thread, *clock, producers, set, now);
    }
    CHECK(counting::allocations == before);
    CHECK(thread.sets_dropped() > 20);
}

void its_memory_is_known_before(bool windows, std::size_t depth) {
    const LiveConfig config{64, depth};
    std::vector<sync::Room> rooms;
    const std::unique_ptr<sync::Policy> model = anchored(windows);
    for (std::uint32_t i = 0; i < model->streams(); ++i) {
        rooms.push_back(model->room(i));
    }
    const std::uint64_t said = SyncThread::bytes(config, rooms);
    const auto clock = std::make_shared<ManualClock>();
    const std::uint64_t before = counting::bytes;
    const auto thread = std::make_unique<SyncThread>(anchored(windows), config, clock);
    CHECK(thread->settle(kPatience));
    const MatchedSet taken = thread->make_set();
    const std::uint64_t used = counting::bytes - before;
    CHECK(said >= used * 9 / 10 && said <= used * 3 / 2);
}

}  // namespace

int main() {
    for (const bool windows : {false, true}) {
        for (const std::size_t depth : {1U, 4U}) {
            nothing_is_allocated_once_it_runs(windows, depth);
            its_memory_is_known_before(windows, depth);
        }
    }
    return 0;
}
