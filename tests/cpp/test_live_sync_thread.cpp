// The thread that matches, on a clock that moves only when told: what a replay gives, deadlines, wakes, failures.
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

#include "edge/sync/replay.hpp"
#include "live_feed.hpp"

namespace {

using namespace feed;
using live::LiveConfig;
using live::ManualClock;
using live::MatchedSet;
using live::SyncThread;
using live::Taken;
using sync::Message;

constexpr Nanos kPatience = 30 * sync::kSecond;
constexpr Nanos kPeriods[] = {33 * kMillisecond, 100 * kMillisecond, 20 * kMillisecond};

std::vector<Message> street_messages(Nanos until_ns) {
    ledger::Draw draw(11);
    std::vector<Message> messages;
    Nanos next[3] = {1 * kMillisecond, 2 * kMillisecond, 3 * kMillisecond};
    while (next[1] < until_ns) {
        std::uint32_t stream = 0;
        for (std::uint32_t i = 1; i < 3; ++i) {
            stream = next[i] < next[stream] ? i : stream;
        }
        const Nanos stamp = next[stream];
        next[stream] += kPeriods[stream];
        const bool out = stream == 1 && stamp > until_ns / 3 && stamp < until_ns / 2;
        if (!out && draw.below(20) != 0) {
            const Nanos arrival = stamp + 5 * kMillisecond + static_cast<Nanos>(messages.size() % 7);
            messages.push_back({stream, stamp, arrival, 0, stream == 2 ? kPeriods[2] : 0});
        }
    }
    return messages;
}

// What of a set can be compared: stamps and sizes, not handles.
struct Recorder final : sync::Sink {
    void emitted(const sync::Emission& set) override {
        std::string line = std::to_string(set.anchor_stamp_ns) + "@" + std::to_string(set.emitted_ns);
        for (std::size_t i = 0; i < set.count; ++i) {
            const sync::Member& m = set.members[i];
            line += " " + std::to_string(static_cast<int>(m.presence)) + ":" + std::to_string(m.stamp_ns) + "x" +
                    std::to_string(m.count);
        }
        lines.push_back(line);
    }
    void released(std::uint64_t, std::uint32_t, sync::Release) override {}
    std::vector<std::string> lines;
};

std::string line_of(const MatchedSet& set) {
    std::string line = std::to_string(set.anchor_stamp_ns) + "@" + std::to_string(set.emitted_ns);
    for (const live::MatchedMember& m : set.members) {
        line += " " + std::to_string(static_cast<int>(m.presence)) + ":" + std::to_string(m.stamp_ns) + "x" +
                std::to_string(m.count);
    }
    return line;
}

void it_gives_what_a_replay_gives() {
    for (const bool windows : {false, true}) {
        const std::vector<Message> messages = street_messages(10 * sync::kSecond);
        Recorder expected;
        const std::unique_ptr<sync::Policy> policy = anchored(windows);
        sync::replay(*policy, messages.data(), messages.size(), expected);
        policy->flush(messages.back().arrival_ns, expected);

        const auto clock = std::make_shared<ManualClock>();
        SyncThread thread(anchored(windows), LiveConfig{64, 512}, clock);
        std::vector<Producer> producers;
        for (std::uint32_t i = 0; i < 3; ++i) {
            producers.emplace_back(thread, i, messages.size());
        }
        for (const Message& m : messages) {
            clock->move_to(m.arrival_ns);
            CHECK(producers[m.stream].push(m.stamp_ns, m.arrival_ns, m.duration_ns) == live::Push::kAccepted);
            CHECK(thread.settle(kPatience));
        }
        thread.finish();
        MatchedSet set = thread.make_set();
        std::vector<std::string> lines;
        while (thread.take(set, kPatience) == Taken::kSet) {
            lines.push_back(line_of(set));
            thread.release(set);
        }
        CHECK(lines == expected.lines && lines.size() > 80);
        thread.stop();
        for (Producer& producer : producers) {
            while (thread.frames_in_use(static_cast<std::uint32_t>(&producer - producers.data())) > 0) {
                producer.take_back();
            }
            producer.check_all_back();
        }
    }
}

void deadlines_fire_when_their_time_comes() {
    const auto clock = std::make_shared<ManualClock>(sync::kSecond);
    SyncThread thread(anchored(), LiveConfig{}, clock);
    Producer camera(thread, 0, 10), lidar(thread, 1, 10);
    const Nanos start = sync::kSecond;
    camera.push(start, start);
    lidar.push(start + 30 * kMillisecond, start);
    CHECK(thread.settle(kPatience));
    MatchedSet set = thread.make_set();
    CHECK(thread.take(set, 0) == Taken::kTimeout);  // sound is still waited for
    clock->move_to(start + 60 * kMillisecond - 1);
    CHECK(thread.settle(kPatience));
    CHECK(thread.take(set, 0) == Taken::kTimeout);
    clock->move_to(start + 60 * kMillisecond);
    CHECK(thread.take(set, kPatience) == Taken::kSet);  // nobody pushed: the deadline did it
    CHECK(set.emitted_ns == start + 60 * kMillisecond);
    CHECK(set.members[1].count == 1 && set.members[2].presence == sync::Presence::kNeverSeen);
    CHECK(thread.frame(1, set.handles[set.members[1].first]).stamp_ns == start + 30 * kMillisecond);
    thread.release(set);
    clock->move_to(start + 400 * kMillisecond);  // a silent anchor is replaced by its ticks
    CHECK(thread.take(set, kPatience) == Taken::kSet);
    CHECK(set.predicted);
    thread.release(set);
}

void only_what_may_matter_wakes_it() {
    const auto clock = std::make_shared<ManualClock>(sync::kSecond);
    SyncThread thread(anchored(), LiveConfig{8, 1}, clock);
    Producer camera(thread, 0, 100), lidar(thread, 1, 100), audio(thread, 2, 100);
    const Nanos start = sync::kSecond;
    camera.push(start, start);
    audio.push(start, start);
    lidar.push(start, start);
    CHECK(thread.settle(kPatience));
    MatchedSet set = thread.make_set();
    CHECK(thread.take(set, 0) == Taken::kSet);
    thread.release(set);
    std::uint64_t before = thread.wakes();
    for (int i = 1; i <= 4; ++i) {
        camera.push(start + i, start + i);
    }
    CHECK(thread.wakes() == before);
    camera.push(start + 5, start + 5);  // more than half of the ring is full
    CHECK(thread.wakes() == before + 1);
    CHECK(thread.settle(kPatience));
    CHECK(thread.counts(0).ring_high_water == 5);
    before = thread.wakes();
    lidar.push(start + 100 * kMillisecond, start + 6);  // the anchor
    CHECK(thread.wakes() == before + 1);
    CHECK(thread.settle(kPatience));
    before = thread.wakes();
    camera.push(start + 95 * kMillisecond, start + 7);  // now a set waits for it
    CHECK(thread.wakes() == before + 1);
}

void a_future_arrival_counts_as_now() {
    const auto clock = std::make_shared<ManualClock>(sync::kSecond);
    SyncThread thread(std::make_unique<sync::Latest>(sync::LatestConfig{ledger::street(false), 1, false}), {}, clock);
    Producer lidar(thread, 1, 1);
    lidar.push(0, 100 * sync::kSecond);
    MatchedSet set = thread.make_set();
    CHECK(thread.take(set, kPatience) == Taken::kSet);
    CHECK(set.emitted_ns == sync::kSecond);
    thread.release(set);
}

void what_is_refused_is_counted() {
    const auto clock = std::make_shared<ManualClock>(sync::kSecond);
    SyncThread thread(std::make_unique<sync::Latest>(sync::LatestConfig{ledger::street(false), 1, false}),
                      LiveConfig{1, 1}, clock);
    Producer lidar(thread, 1, 64);
    MatchedSet kept = thread.make_set();
    std::size_t accepted = 0, ring_full = 0, no_frame = 0;
    std::vector<MatchedSet> sets;
    for (Nanos i = 1; no_frame == 0 && i < 64; ++i) {  // whoever takes sets never gives them back
        const live::Push result = lidar.push(i, i);
        accepted += result == live::Push::kAccepted;
        ring_full += result == live::Push::kRingFull;
        no_frame += result == live::Push::kNoFrame;
        CHECK(thread.settle(kPatience));
        if (thread.take(kept, 0) == Taken::kSet) {
            sets.push_back(kept);
        }
    }
    CHECK(no_frame == 1 && thread.counts(1).no_frame == 1);
    CHECK(thread.counts(1).accepted == accepted && thread.counts(1).ring_full == ring_full);
    for (const MatchedSet& set : sets) {
        thread.release(set);
    }
    CHECK(lidar.push(100, 100) == live::Push::kAccepted);
    thread.finish();
    CHECK(lidar.push(101, 101) == live::Push::kClosed);
}

struct OneStream : sync::Policy {
    void advance(Nanos, sync::Sink&) override {}
    void flush(Nanos, sync::Sink&) override {}
    sync::StreamHealth health(std::uint32_t) const override { return {}; }
    std::size_t streams() const override { return 1; }
    sync::Room room(std::uint32_t) const override { return {4, 1}; }
};

struct Slow final : OneStream {
    Slow(std::atomic<bool>& entered, std::atomic<bool>& may_go) : entered_(entered), may_go_(may_go) {}
    void push(const Message&, Nanos, sync::Sink&) override {
        entered_ = true;
        while (!may_go_) {
            std::this_thread::yield();
        }
    }

 private:
    std::atomic<bool>& entered_;
    std::atomic<bool>& may_go_;
};

void a_ring_that_ran_full_is_told_as_full() {
    std::atomic<bool> entered{false}, may_go{false};
    SyncThread thread(std::make_unique<Slow>(entered, may_go), LiveConfig{4, 1},
                      std::make_shared<live::MonotonicClock>());
    Producer producer(thread, 0, 6);
    CHECK(producer.push(1, 1) == live::Push::kAccepted);
    while (!entered) {
        std::this_thread::yield();
    }
    for (Nanos i = 2; i < 6; ++i) {
        CHECK(producer.push(i, i) == live::Push::kAccepted);
    }
    CHECK(thread.counts(0).ring_high_water == 1);
    CHECK(producer.push(6, 6) == live::Push::kRingFull);
    CHECK(thread.counts(0).ring_full == 1 && thread.counts(0).ring_high_water == 4);
    may_go = true;
    CHECK(thread.settle(kPatience));
}

struct Broken final : OneStream {
    void push(const Message&, Nanos, sync::Sink&) override { throw std::runtime_error("broken on purpose"); }
};

void a_failing_policy_is_the_callers_to_see() {
    SyncThread thread(std::make_unique<Broken>(), {}, std::make_shared<live::MonotonicClock>());
    Producer producer(thread, 0, 4);
    CHECK(producer.push(1, 1) == live::Push::kAccepted);
    MatchedSet set = thread.make_set();
    CHECK(thread.take(set, kPatience) == Taken::kClosed);
    CHECK(!thread.settle(kPatience));
    CHECK(producer.push(2, 2) == live::Push::kFailed);
    CHECK_THROWS(std::rethrow_exception(thread.failure()), std::runtime_error);
    thread.stop();
    producer.clear();
    producer.check_all_back();
}

}  // namespace

int main() {
    it_gives_what_a_replay_gives();
    deadlines_fire_when_their_time_comes();
    only_what_may_matter_wakes_it();
    a_future_arrival_counts_as_now();
    what_is_refused_is_counted();
    a_ring_that_ran_full_is_told_as_full();
    a_failing_policy_is_the_callers_to_see();
    return 0;
}
