// Slots for the payloads of one stream. A payload is adopted, never copied: its slot is the handle that a policy
// sees, and counts who still needs it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "edge/live/spsc_ring.hpp"
#include "edge/sync/nanos.hpp"

namespace edge::live {

using sync::Nanos;

struct Frame {
    void* payload = nullptr;  // opaque; the owner knows how to let go of it
    std::uint64_t seq = 0;
    Nanos stamp_ns = 0;
    Nanos arrival_ns = 0;
};

// The owner is whoever pushes into the stream: one thread at a time. Slots that nobody needs any more come back to it
// through a list that any thread may add to; only the owner touches payloads, so that the thread that counts last
// need not know what they are (nor hold Python's lock). A list and not a ring, because two threads give back: the one
// that matches and the one that took a set.
class FramePool {
 public:
    static constexpr std::uint32_t kNone = 0xFFFFFFFF;

    explicit FramePool(std::size_t slots);
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;

    std::size_t capacity() const { return slots_.size(); }
    static std::size_t bytes(std::size_t slots) { return slots * (sizeof(Slot) + sizeof(std::uint32_t)); }

    // The owner's. `adopt` takes a free slot and counts one need; kNone where there is none. `cancel` undoes it.
    std::uint32_t adopt(const Frame& frame);
    void* cancel(std::uint32_t slot);
    // Frees slots that came back, at most `most`; the payloads are then the caller's. Returns how many there were.
    std::size_t reclaim(void** payloads, std::size_t most);
    // The same for all slots, needed or not: after the threads that use the pool have ended.
    std::size_t clear(void** payloads, std::size_t most);
    std::size_t in_use() const { return slots_.size() - free_.size(); }

    // Any thread that has a need of its own or, for `retain`, knows of another's.
    const Frame& at(std::uint64_t slot) const { return slots_[slot].frame; }
    void retain(std::uint64_t slot) { slots_[slot].needs.fetch_add(1, std::memory_order_relaxed); }
    void release(std::uint64_t slot);

 private:
    struct Slot {
        Frame frame;
        std::atomic<std::uint32_t> needs{0};
        std::uint32_t next = kNone;  // in the list of those that come back
    };

    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::uint32_t reclaiming_ = kNone;  // came back, not yet reclaimed
    std::size_t cleared_ = 0;
    alignas(kCacheLine) std::atomic<std::uint32_t> returned_{kNone};
};

}  // namespace edge::live
