#include "edge/live/frame_pool.hpp"

#include <stdexcept>

namespace edge::live {

FramePool::FramePool(std::size_t slots) : slots_(slots), free_(slots) {
    if (slots == 0 || slots >= kNone) {
        throw std::invalid_argument("a stream needs between 1 and 2^32 - 2 slots for its frames");
    }
    for (std::size_t i = 0; i < slots; ++i) {
        free_[i] = static_cast<std::uint32_t>(slots - 1 - i);
    }
}

std::uint32_t FramePool::adopt(const Frame& frame) {
    if (free_.empty()) {
        return kNone;
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    slots_[index].frame = frame;
    slots_[index].needs.store(1, std::memory_order_relaxed);
    return index;
}

void* FramePool::cancel(std::uint32_t slot) {
    void* const payload = slots_[slot].frame.payload;
    slots_[slot].frame.payload = nullptr;
    free_.push_back(slot);
    return payload;
}

std::size_t FramePool::reclaim(void** payloads, std::size_t most) {
    std::size_t count = 0;
    while (count < most) {
        if (reclaiming_ == kNone) {
            // Taking the whole list at once is what keeps it free of the ABA problem.
            reclaiming_ = returned_.load(std::memory_order_relaxed) == kNone
                              ? kNone
                              : returned_.exchange(kNone, std::memory_order_acquire);
            if (reclaiming_ == kNone) {
                break;
            }
        }
        const std::uint32_t index = reclaiming_;
        reclaiming_ = slots_[index].next;
        payloads[count++] = cancel(index);
    }
    return count;
}

std::size_t FramePool::clear(void** payloads, std::size_t most) {
    std::size_t count = 0;
    for (; count < most && cleared_ < slots_.size(); ++cleared_) {
        Slot& slot = slots_[cleared_];
        if (slot.frame.payload != nullptr) {
            payloads[count++] = slot.frame.payload;
            slot.frame.payload = nullptr;
        }
    }
    return count;
}

void FramePool::release(std::uint64_t slot) {
    if (slots_[slot].needs.fetch_sub(1, std::memory_order_acq_rel) != 1) {
        return;
    }
    std::uint32_t head = returned_.load(std::memory_order_relaxed);
    do {
        slots_[slot].next = head;
    } while (!returned_.compare_exchange_weak(head, static_cast<std::uint32_t>(slot), std::memory_order_release,
                                              std::memory_order_relaxed));
}

}  // namespace edge::live
