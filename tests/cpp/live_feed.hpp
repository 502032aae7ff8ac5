// Payloads for the live tests that know where they are: each is adopted once and let go of once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "edge/live/sync_thread.hpp"
#include "sync_ledger.hpp"

namespace feed {

namespace live = edge::live;
namespace sync = edge::sync;
using sync::kMillisecond;
using sync::Nanos;

constexpr std::size_t kAtOnce = 4;

// What a producer of one stream does: takes back, pushes, keeps books. Only its own thread may use it.
class Producer {
 public:
    Producer(live::SyncThread& thread, std::uint32_t stream, std::size_t payloads)
        : thread_(thread), stream_(stream), held_(payloads, 0) {}

    live::Push push(Nanos stamp_ns, Nanos arrival_ns, Nanos duration_ns = 0) {
        take_back();
        const live::Frame frame{&held_[next_], next_, stamp_ns, arrival_ns};
        held_[next_] = 1;
        const live::Push result = thread_.push(stream_, frame, duration_ns);
        if (result == live::Push::kAccepted) {
            ++next_;
        }
        return result;
    }
    void take_back() {
        void* payloads[kAtOnce];
        for (std::size_t n = thread_.reclaim(stream_, payloads, kAtOnce); n > 0; --n) {
            give(payloads[n - 1]);
        }
    }
    void clear() {
        void* payloads[kAtOnce];
        for (;;) {
            const std::size_t n = thread_.clear(stream_, payloads, kAtOnce);
            for (std::size_t i = 0; i < n; ++i) {
                give(payloads[i]);
            }
            if (n == 0) {
                return;
            }
        }
    }
    void check_all_back() const {
        for (std::size_t i = 0; i < next_; ++i) {
            CHECK(held_[i] == 2);
        }
    }
    std::size_t pushed() const { return next_; }
    bool full() const { return next_ == held_.size(); }

 private:
    void give(void* payload) {
        char* const one = static_cast<char*>(payload);
        CHECK(*one == 1);
        *one = 2;
    }

    live::SyncThread& thread_;
    std::uint32_t stream_;
    std::vector<char> held_;
    std::size_t next_ = 0;
};

inline std::unique_ptr<sync::Policy> anchored(bool windows = false) {
    return std::make_unique<sync::Anchored>(
        sync::AnchoredConfig{ledger::street(windows), 1, 60 * kMillisecond, true, 2 * sync::kSecond});
}

}  // namespace feed
