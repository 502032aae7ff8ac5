// Stopped at any moment under load, with several producers and takers: nothing hangs, every payload comes back once.
#include <thread>

#include "live_feed.hpp"

namespace {

using namespace feed;
using live::LiveConfig;
using live::MatchedSet;
using live::SyncThread;
using live::Taken;

void produce(Producer& producer, std::uint32_t stream, std::atomic<bool>& go) {
    constexpr Nanos kPeriods[] = {33 * kMillisecond, 100 * kMillisecond, 20 * kMillisecond};
    Nanos stamp = 0;
    while (go.load(std::memory_order_relaxed) && !producer.full()) {
        stamp += kPeriods[stream];
        // Time runs faster than the machine's, so that sets come quickly; arrivals lie in the past.
        const live::Push result = producer.push(stamp, stamp + kMillisecond, stream == 2 ? kPeriods[2] : 0);
        if (result == live::Push::kClosed) {
            return;
        }
        if (result != live::Push::kAccepted) {
            std::this_thread::yield();
        }
    }
}

std::uint64_t consume(SyncThread& thread) {
    MatchedSet set = thread.make_set();
    std::uint64_t taken = 0;
    while (thread.take(set, sync::kNever) == Taken::kSet) {
        for (std::uint32_t i = 0; i < set.members.size(); ++i) {
            const live::MatchedMember& member = set.members[i];
            for (std::size_t k = member.first; k < member.first + member.count; ++k) {
                CHECK(*static_cast<char*>(thread.frame(i, set.handles[k]).payload) >= 0);
            }
        }
        thread.release(set);
        ++taken;
    }
    return taken;
}

void run_and_stop(std::size_t round, bool windows) {
    SyncThread thread(anchored(windows), LiveConfig{16, 1 + round % 3, 2}, std::make_shared<live::MonotonicClock>());
    std::vector<Producer> producers;
    for (std::uint32_t i = 0; i < 3; ++i) {
        producers.emplace_back(thread, i, 2'000);
    }
    std::atomic<bool> go{true};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 3; ++i) {
        threads.emplace_back([&, i] { produce(producers[i], i, go); });
    }
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] { consume(thread); });
    }
    for (std::size_t i = 0; i < round * 5; ++i) {
        static_cast<void>(thread.health(static_cast<std::uint32_t>(i % 3)));
        std::this_thread::yield();
    }
    if (round % 2 == 0) {
        thread.stop();
    } else {
        thread.finish();
    }
    go = false;
    for (std::thread& one : threads) {
        one.join();
    }
    thread.stop();
    for (Producer& producer : producers) {
        producer.take_back();
        producer.clear();
        producer.check_all_back();
    }
}

void it_stops_at_any_moment() {
    for (std::size_t round = 0; round < rounds(16); ++round) {
        run_and_stop(round, round % 4 > 1);
    }
}

void an_unused_thread_stops() {
    SyncThread thread(anchored(), {}, std::make_shared<live::MonotonicClock>());
    thread.stop();
    thread.stop();
    thread.finish();
    MatchedSet set = thread.make_set();
    CHECK(thread.take(set, sync::kNever) == Taken::kClosed);
    CHECK(thread.settle(sync::kSecond));
    CHECK(thread.failure() == nullptr);
}

// A clock shared by two threads: waking one leaves the other asleep, moving time wakes both.
void two_threads_share_a_clock() {
    const auto clock = std::make_shared<live::ManualClock>();
    SyncThread a(anchored(), {}, clock), b(anchored(), {}, clock);
    Producer camera(a, 0, 4);
    for (Nanos now = 0; now < 3 * sync::kSecond; now += 100 * kMillisecond) {
        clock->move_to(now);
        CHECK(a.settle(30 * sync::kSecond) && b.settle(30 * sync::kSecond));
    }
    CHECK(camera.push(0, clock->now_ns()) == live::Push::kAccepted);
}

}  // namespace

int main() {
    it_stops_at_any_moment();
    an_unused_thread_stops();
    two_threads_share_a_clock();
    return 0;
}
