// Sets on their way out: the latest wins, queues drop what they are told to, and closing wakes everyone.
#include <stdexcept>
#include <thread>

#include "edge/live/mailbox.hpp"
#include "harness.hpp"
#include "sync_ledger.hpp"

namespace {

using edge::live::Mailbox;
using edge::live::MatchedSet;
using edge::live::Overflow;
using edge::live::Taken;
using edge::sync::kSecond;

const std::vector<std::size_t> kMost{1, 3};

MatchedSet numbered(std::uint64_t seq) {
    MatchedSet set(kMost);
    set.seq = seq;
    return set;
}

// Puts 0..4 into a box of `depth`; returns what was dropped and leaves the rest in `left`.
std::vector<std::uint64_t> overfill(std::size_t depth, Overflow overflow, std::vector<std::uint64_t>& left) {
    Mailbox box(depth, overflow, kMost);
    std::vector<std::uint64_t> dropped;
    for (std::uint64_t seq = 0; seq < 5; ++seq) {
        MatchedSet set = numbered(seq);
        if (box.put(set)) {
            dropped.push_back(set.seq);
        }
    }
    CHECK(box.dropped() == dropped.size());
    CHECK(box.waiting() == depth);
    MatchedSet set = numbered(99);
    while (box.take(set, 0) == Taken::kSet) {
        left.push_back(set.seq);
    }
    return dropped;
}

void what_overflows_is_told() {
    using Seqs = std::vector<std::uint64_t>;
    Seqs left;
    CHECK((overfill(1, Overflow::kDropOldest, left) == Seqs{0, 1, 2, 3} && left == Seqs{4}));
    left.clear();
    CHECK((overfill(3, Overflow::kDropOldest, left) == Seqs{0, 1} && left == Seqs{2, 3, 4}));
    left.clear();
    CHECK((overfill(3, Overflow::kDropNewest, left) == Seqs{3, 4} && left == Seqs{0, 1, 2}));
    CHECK_THROWS(Mailbox(0, Overflow::kDropOldest, kMost), std::invalid_argument);
}

void a_closed_box_can_be_emptied() {
    Mailbox box(2, Overflow::kDropOldest, kMost);
    MatchedSet set = numbered(7);
    CHECK(box.take(set, 1000) == Taken::kTimeout);
    CHECK(!box.put(set));
    box.close();
    MatchedSet late = numbered(8);
    CHECK(box.put(late) && late.seq == 8);
    CHECK(box.take(set, edge::sync::kNever) == Taken::kSet && set.seq == 7);
    CHECK(box.take(set, edge::sync::kNever) == Taken::kClosed);
}

void closing_wakes_who_waits() {
    Mailbox box(1, Overflow::kDropOldest, kMost);
    std::vector<std::thread> takers;
    for (int i = 0; i < 3; ++i) {
        takers.emplace_back([&box] {
            MatchedSet set = numbered(0);
            CHECK(box.take(set, edge::sync::kNever) == Taken::kClosed);
        });
    }
    box.close();
    for (std::thread& taker : takers) {
        taker.join();
    }
}

void takers_see_newer_and_newer_sets() {
    const std::uint64_t kCount = rounds(50'000);
    Mailbox box(1, Overflow::kDropOldest, kMost);
    std::uint64_t taken = 0;
    std::thread taker([&] {
        MatchedSet set = numbered(0);
        std::uint64_t next = 0;
        while (box.take(set, 10 * kSecond) == Taken::kSet) {
            CHECK(set.seq >= next);
            next = set.seq + 1;
            ++taken;
        }
        CHECK(next == kCount);
    });
    MatchedSet set = numbered(0);
    for (std::uint64_t seq = 0; seq < kCount; ++seq) {
        set.seq = seq;
        box.put(set);
    }
    box.close();
    taker.join();
    CHECK(taken + box.dropped() == kCount);
}

void a_set_keeps_what_a_policy_names() {
    const std::uint64_t handles[] = {4, 5, 6};
    const edge::sync::Nanos stamps[] = {40, 50, 60};
    edge::sync::Member members[2];
    members[1] = {edge::sync::Presence::kHeld, 2, 60, handles, stamps, 3};
    MatchedSet set(kMost);
    set.assign({9, 70, 80, 5, true, members, 2});
    CHECK(set.seq == 9 && set.anchor_stamp_ns == 70 && set.emitted_ns == 80 && set.spread_ns == 5 && set.predicted);
    CHECK(set.members[0].count == 0 && set.members[1].count == 3 && set.members[1].epoch == 2);
    CHECK(set.handles[set.members[1].first + 2] == 6 && set.stamps_ns[set.members[1].first] == 40);
    MatchedSet small({1, 1});
    CHECK_THROWS(small.assign({9, 70, 80, 5, true, members, 2}), std::length_error);
}

}  // namespace

int main() {
    what_overflows_is_told();
    a_closed_box_can_be_emptied();
    closing_wakes_who_waits();
    takers_see_newer_and_newer_sets();
    a_set_keeps_what_a_policy_names();
    return 0;
}
