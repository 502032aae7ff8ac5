// The thread that matches: it drains what producers push, runs a policy, fires its deadlines and fills the mailbox.
// It never runs anybody else's code, takes no lock that user code holds, and allocates nothing once it runs.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "edge/live/clock.hpp"
#include "edge/live/frame_pool.hpp"
#include "edge/live/mailbox.hpp"
#include "edge/live/spsc_ring.hpp"
#include "edge/sync/policy.hpp"

namespace edge::live {

struct LiveConfig {
    std::size_t ring = 64;   // messages of a stream that may wait for the thread
    std::size_t depth = 1;   // sets that may wait to be taken; with 1 and kDropOldest the latest wins
    std::size_t takers = 1;  // threads that take sets, or hold some, at one time
    Overflow overflow = Overflow::kDropOldest;
    std::vector<std::size_t> rings = {};  // of the first streams, where they want another room than `ring`
};

enum class Push : std::uint8_t {
    kAccepted,
    kRingFull,  // the thread is starved: an alarm
    kNoFrame,   // sets are held for too long by those who took them
    kClosed,    // after `finish` or `stop`
    kFailed,    // the policy threw; `failure` says what
};

struct LaneCounts {
    std::uint64_t accepted = 0;
    std::uint64_t ring_full = 0;
    std::uint64_t no_frame = 0;
    std::uint64_t ring_high_water = 0;  // most messages that waited: found by the thread, or a full ring
};

// Producers: `push` and `reclaim` of a stream belong to one thread at a time, which is the owner of the stream's
// payloads; they never wait and need no lock of Python's. A push wakes the thread only where it sleeps and the message
// may matter now (Policy::awaited): awake it costs some ten nanoseconds, a wake costs a system call.
//
// Consumers: `take` waits on the wall clock; whoever took a set gives it back with `release`.
class SyncThread {
 public:
    SyncThread(std::unique_ptr<sync::Policy> policy, const LiveConfig& config, std::shared_ptr<Clock> clock);
    // Stops. Payloads that were not reclaimed or cleared are forgotten, for nobody here knows how to let go of them.
    ~SyncThread();
    SyncThread(const SyncThread&) = delete;
    SyncThread& operator=(const SyncThread&) = delete;

    // Memory of rings, frames, histories and sets together, known before anything of it is made.
    static std::size_t bytes(const LiveConfig& config, const std::vector<sync::Room>& rooms);
    // Frames of a stream that are kept at once, at most.
    static std::size_t frames(const LiveConfig& config, std::uint32_t stream, const sync::Room& room);

    // Where a message is not accepted, its payload stays the caller's.
    Push push(std::uint32_t stream, const Frame& frame, Nanos duration_ns) noexcept;
    // Payloads that nobody needs any more, at most `most`.
    std::size_t reclaim(std::uint32_t stream, void** payloads, std::size_t most) noexcept;

    Taken take(MatchedSet& set, Nanos timeout_ns) { return mailbox_.take(set, timeout_ns); }
    const Frame& frame(std::uint32_t stream, std::uint64_t handle) const { return lanes_[stream]->pool.at(handle); }
    void release(const MatchedSet& set) noexcept;
    MatchedSet make_set() const { return MatchedSet(most_in_set_); }

    // No more messages: the thread takes what was pushed, emits what still waits, and ends.
    void finish() noexcept;
    // At once: what was pushed or waits is dropped. Returns when the thread has ended. Sets that were taken are still
    // their takers'.
    void stop() noexcept;
    // After `stop`, when nobody pushes or takes any more: all payloads that are left, needed or not.
    std::size_t clear(std::uint32_t stream, void** payloads, std::size_t most) noexcept;

    // Waits until everything pushed before has been worked through and all deadlines up to now have fired, or until the
    // time is over. Whether it has.
    bool settle(Nanos timeout_ns);

    // What ended the thread before its time; null while all is well.
    std::exception_ptr failure() const;

    sync::StreamHealth health(std::uint32_t stream) const;
    LaneCounts counts(std::uint32_t stream) const;
    std::uint64_t sets_dropped() const { return mailbox_.dropped(); }
    std::size_t sets_waiting() const { return mailbox_.waiting(); }
    std::uint64_t wakes() const { return wakes_.load(std::memory_order_relaxed); }
    std::size_t frames_in_use(std::uint32_t stream) const { return lanes_[stream]->pool.in_use(); }  // the owner's
    std::size_t streams() const { return lanes_.size(); }
    const Clock& clock() const { return *clock_; }

 private:
    enum class State : std::uint8_t { kRunning, kFinishing, kStopping };

    struct Lane {
        Lane(std::size_t ring_size, std::size_t slots) : ring(ring_size), pool(slots) {}
        SpscRing<sync::Message> ring;
        FramePool pool;
        std::atomic<std::uint64_t> accepted{0}, ring_full{0}, no_frame{0};
        alignas(kCacheLine) std::atomic<std::uint64_t> high_water{0};
    };

    // Counts needs of frames on behalf of the policy, and forwards its sets to the mailbox.
    class Outlet final : public sync::Sink {
     public:
        explicit Outlet(SyncThread& thread) : thread_(thread), draft_(thread.make_set()) {}
        void emitted(const sync::Emission& emission) override;
        void released(std::uint64_t handle, std::uint32_t stream, sync::Release why) override;
        bool muted = false;

     private:
        SyncThread& thread_;
        MatchedSet draft_;
    };

    void run() noexcept;
    void loop();
    void fail() noexcept;
    void end() noexcept;
    bool drain(Nanos& now_ns);
    Lane* earliest();
    void fire(Nanos until_ns);
    void sleep(std::uint64_t asked);
    void answer(std::uint64_t asked);
    void wake() noexcept;

    std::unique_ptr<sync::Policy> policy_;
    std::shared_ptr<Clock> clock_;
    std::vector<std::unique_ptr<Lane>> lanes_;
    std::vector<std::size_t> most_in_set_;
    Mailbox mailbox_;
    Outlet outlet_;
    Alarm alarm_;

    mutable std::mutex policy_mutex_;  // the policy's facts may be asked for by other threads
    std::mutex settle_mutex_, join_mutex_;
    Condition settled_;
    std::uint64_t settle_answered_ = 0;
    bool ended_ = false;
    std::exception_ptr failure_;
    std::atomic<std::uint64_t> settle_asked_{0};
    std::atomic<std::uint64_t> wakes_{0};
    std::atomic<bool> failed_{false};
    std::atomic<State> state_{State::kRunning};
    // 0: awake; else bit i: asleep, and a message of stream i is to wake it.
    alignas(kCacheLine) std::atomic<std::uint64_t> wake_for_{0};
    std::thread thread_;
};

}  // namespace edge::live
