// The ring and the frames' slots against plain containers, and under two or three threads.
#include <deque>
#include <stdexcept>
#include <thread>

#include "edge/live/frame_pool.hpp"
#include "edge/live/spsc_ring.hpp"
#include "sync_ledger.hpp"

namespace {

using edge::live::Frame;
using edge::live::FramePool;
using edge::live::SpscRing;

void a_ring_is_a_bounded_queue() {
    ledger::Draw draw(3);
    for (const std::size_t least : {1U, 2U, 5U, 64U}) {
        SpscRing<std::uint64_t> ring(least);
        std::deque<std::uint64_t> model;
        for (std::uint64_t i = 0; i < 20'000; ++i) {
            if (draw.below(2) == 0) {
                const bool room = model.size() < ring.capacity();
                CHECK(ring.push(i) == room);
                if (room) {
                    model.push_back(i);
                }
                CHECK(ring.half_full() == (model.size() > ring.capacity() / 2));
            } else {
                const std::uint64_t* const front = ring.front();
                CHECK((front == nullptr) == model.empty());
                if (front != nullptr) {
                    CHECK(*front == model.front());
                    ring.pop();
                    model.pop_front();
                }
            }
            CHECK(ring.depth() == model.size());
        }
    }
}

void nothing_is_lost_between_two_threads() {
    const std::uint64_t kCount = rounds(100'000);
    SpscRing<std::uint64_t> ring(256);
    std::uint64_t refused = 0;
    std::thread producer([&] {
        for (std::uint64_t i = 0; i < kCount; ++i) {
            while (!ring.push(i)) {
                ++refused;
                std::this_thread::yield();
            }
        }
    });
    for (std::uint64_t expected = 0; expected < kCount;) {
        const std::uint64_t* const front = ring.front();
        if (front == nullptr) {
            std::this_thread::yield();
            continue;
        }
        CHECK(*front == expected);
        ring.pop();
        ++expected;
    }
    producer.join();
    CHECK(ring.depth() == 0);
}

void a_slot_comes_back_when_the_last_need_is_gone() {
    FramePool pool(2);
    int a = 0, b = 0;
    void* back[4];
    const std::uint32_t first = pool.adopt({&a, 1, 10, 11}), second = pool.adopt({&b, 2, 20, 21});
    CHECK(pool.adopt({&a, 3, 0, 0}) == FramePool::kNone);
    CHECK(pool.at(first).payload == &a && pool.at(second).stamp_ns == 20);
    pool.retain(first);
    pool.release(first);
    CHECK(pool.reclaim(back, 4) == 0);
    pool.release(first);
    pool.release(second);
    CHECK(pool.in_use() == 2);
    CHECK(pool.reclaim(back, 1) == 1);
    CHECK(pool.reclaim(back + 1, 4) == 1);
    CHECK((back[0] == &a && back[1] == &b) || (back[0] == &b && back[1] == &a));
    CHECK(pool.in_use() == 0);
    CHECK(pool.cancel(pool.adopt({&b, 0, 0, 0})) == &b);
    CHECK(pool.adopt({&a, 0, 0, 0}) != FramePool::kNone);
    CHECK(pool.clear(back, 4) == 1 && back[0] == &a);
    CHECK(pool.clear(back, 4) == 0);
    CHECK_THROWS(FramePool(0), std::invalid_argument);
}

// Two threads let go of every frame, in any order; the owner gets each payload exactly once.
void every_payload_comes_back_once() {
    constexpr std::size_t kSlots = 256;
    const std::size_t kCount = rounds(10'000);
    FramePool pool(kSlots);
    SpscRing<std::uint32_t> rings[2] = {SpscRing<std::uint32_t>(kSlots), SpscRing<std::uint32_t>(kSlots)};
    std::vector<std::thread> users;
    for (SpscRing<std::uint32_t>& ring : rings) {
        users.emplace_back([kCount, &pool, &ring] {
            for (std::size_t i = 0; i < kCount;) {
                const std::uint32_t* const front = ring.front();
                if (front == nullptr) {
                    std::this_thread::yield();
                    continue;
                }
                const std::uint32_t slot = *front;
                ring.pop();
                CHECK(*static_cast<std::size_t*>(pool.at(slot).payload) == pool.at(slot).seq);
                pool.release(slot);
                ++i;
            }
        });
    }
    std::vector<std::size_t> payloads(kCount);
    std::vector<char> back(kCount, 0);
    std::size_t pushed = 0, returned = 0;
    while (returned < kCount) {
        void* some[3];
        for (std::size_t n = pool.reclaim(some, 3); n > 0; --n) {
            const std::size_t one = *static_cast<std::size_t*>(some[n - 1]);
            CHECK(back[one] == 0);
            back[one] = 1;
            ++returned;
        }
        if (pushed == kCount) {
            std::this_thread::yield();
            continue;
        }
        payloads[pushed] = pushed;
        const std::uint32_t slot = pool.adopt({&payloads[pushed], pushed, 0, 0});
        if (slot == FramePool::kNone) {
            std::this_thread::yield();
            continue;
        }
        pool.retain(slot);
        CHECK(rings[0].push(slot) && rings[1].push(slot));
        ++pushed;
    }
    for (std::thread& user : users) {
        user.join();
    }
    CHECK(pool.in_use() == 0);
}

}  // namespace

int main() {
    a_ring_is_a_bounded_queue();
    nothing_is_lost_between_two_threads();
    a_slot_comes_back_when_the_last_need_is_gone();
    every_payload_comes_back_once();
    return 0;
}
