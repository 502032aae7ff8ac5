#include "edge/live/sync_thread.hpp"

#include <pthread.h>

#include <algorithm>
#include <stdexcept>

namespace edge::live {
namespace {

constexpr std::size_t kBatch = 256;  // messages between two looks at whether to stop
constexpr std::size_t kLongestRing = 65536;
constexpr Nanos kCatchUp = sync::kSecond;
constexpr std::size_t kPolicyLane = 1024;  // what a policy keeps of a stream beside its messages

std::size_t checked_ring(std::size_t ring) {
    if (ring == 0 || ring > kLongestRing) {
        throw std::invalid_argument("a ring holds between 1 and 65536 messages");
    }
    return ring;
}

std::size_t ring_of(const LiveConfig& config, std::size_t stream) {
    return sync::power_of_two(checked_ring(stream < config.rings.size() ? config.rings[stream] : config.ring));
}

std::vector<std::size_t> most_in_set(const sync::Policy& policy) {
    std::vector<std::size_t> most(policy.streams());
    for (std::uint32_t i = 0; i < most.size(); ++i) {
        most[i] = policy.room(i).in_set;
    }
    return most;
}

}  // namespace

std::size_t SyncThread::frames(const LiveConfig& config, std::uint32_t stream, const sync::Room& room) {
    // Those that wait, those of the policy, and those of sets that outlived the policy's interest.
    return ring_of(config, stream) + room.held + (config.depth + config.takers + 1) * room.in_set;
}

std::size_t SyncThread::bytes(const LiveConfig& config, const std::vector<sync::Room>& rooms) {
    std::size_t sum = sizeof(SyncThread);
    std::vector<std::size_t> most;
    for (const sync::Room& room : rooms) {
        const auto stream = static_cast<std::uint32_t>(most.size());
        sum += sizeof(Lane) + ring_of(config, stream) * sizeof(sync::Message);
        sum += FramePool::bytes(frames(config, stream, room)) + kPolicyLane;
        sum += room.held * (sizeof(sync::Record) + sizeof(std::uint64_t) + sizeof(Nanos));
        most.push_back(room.in_set);
    }
    return sum + (config.depth + config.takers + 1) * MatchedSet::bytes(most);
}

SyncThread::SyncThread(std::unique_ptr<sync::Policy> policy, const LiveConfig& config, std::shared_ptr<Clock> clock)
    : policy_(std::move(policy)),
      clock_(std::move(clock)),
      most_in_set_(most_in_set(*policy_)),
      mailbox_(config.depth, config.overflow, most_in_set_),
      outlet_(*this) {
    for (std::uint32_t i = 0; i < policy_->streams(); ++i) {
        lanes_.push_back(std::make_unique<Lane>(ring_of(config, i), frames(config, i, policy_->room(i))));
    }
    thread_ = std::thread([this] { run(); });
}

SyncThread::~SyncThread() { stop(); }

Push SyncThread::push(std::uint32_t stream, const Frame& frame, Nanos duration_ns) noexcept {
    if (state_.load(std::memory_order_relaxed) != State::kRunning || failed_.load(std::memory_order_relaxed)) {
        return failed_.load(std::memory_order_acquire) ? Push::kFailed : Push::kClosed;
    }
    Lane& lane = *lanes_[stream];
    const std::uint32_t slot = lane.pool.adopt(frame);
    if (slot == FramePool::kNone) {
        lane.no_frame.fetch_add(1, std::memory_order_relaxed);
        return Push::kNoFrame;
    }
    if (!lane.ring.push({stream, frame.stamp_ns, frame.arrival_ns, slot, duration_ns})) {
        lane.pool.cancel(slot);
        lane.ring_full.fetch_add(1, std::memory_order_relaxed);
        return Push::kRingFull;
    }
    lane.accepted.fetch_add(1, std::memory_order_relaxed);
    // Either this sees that the thread is about to sleep, or the thread sees the message before it does.
    const std::uint64_t wake_for = wake_for_.load(std::memory_order_seq_cst);
    if (wake_for != 0 && (((wake_for >> stream) & 1U) != 0 || lane.ring.half_full())) {
        wake();
    }
    return Push::kAccepted;
}

void SyncThread::wake() noexcept {
    if (wake_for_.exchange(0, std::memory_order_seq_cst) != 0) {
        wakes_.fetch_add(1, std::memory_order_relaxed);
        alarm_.wake();
    }
}

std::size_t SyncThread::reclaim(std::uint32_t stream, void** payloads, std::size_t most) noexcept {
    return lanes_[stream]->pool.reclaim(payloads, most);
}

std::size_t SyncThread::clear(std::uint32_t stream, void** payloads, std::size_t most) noexcept {
    return lanes_[stream]->pool.clear(payloads, most);
}

void SyncThread::release(const MatchedSet& set) noexcept {
    for (std::size_t i = 0; i < set.members.size(); ++i) {
        const MatchedMember& member = set.members[i];
        for (std::size_t k = member.first; k < member.first + member.count; ++k) {
            lanes_[i]->pool.release(set.handles[k]);
        }
    }
}

void SyncThread::Outlet::emitted(const sync::Emission& emission) {
    if (muted) {
        return;
    }
    draft_.assign(emission);
    for (std::size_t i = 0; i < emission.count; ++i) {
        for (std::size_t k = 0; k < emission.members[i].count; ++k) {
            thread_.lanes_[i]->pool.retain(emission.members[i].handles[k]);
        }
    }
    if (thread_.mailbox_.put(draft_)) {
        thread_.release(draft_);
    }
}

void SyncThread::Outlet::released(std::uint64_t handle, std::uint32_t stream, sync::Release) {
    thread_.lanes_[stream]->pool.release(handle);
}

void SyncThread::run() noexcept {
    pthread_setname_np(pthread_self(), "edge-sync");
    try {
        loop();
    } catch (...) {
        // It goes to whoever calls next; an exception that leaves a thread would end the process.
        fail();
    }
    end();
}

void SyncThread::fail() noexcept {
    const std::lock_guard<std::mutex> lock(settle_mutex_);
    failure_ = std::current_exception();
    failed_.store(true, std::memory_order_release);
}

void SyncThread::loop() {
    for (;;) {
        const std::uint64_t asked = settle_asked_.load(std::memory_order_seq_cst);
        const State state = state_.load(std::memory_order_seq_cst);
        if (state == State::kStopping) {
            return;
        }
        bool drained = false;
        {
            const std::lock_guard<std::mutex> lock(policy_mutex_);
            Nanos now = clock_->now_ns();
            drained = drain(now);
            if (drained) {
                fire(now);
            }
            if (drained && state == State::kFinishing) {
                policy_->flush(now, outlet_);
                return;
            }
        }
        if (drained) {
            sleep(asked);
        }
    }
}

// In the order of arrival, each at its own instant with the deadlines before it, as a replay would; an arrival that
// lies in the future counts as now. Whether nothing is left.
bool SyncThread::drain(Nanos& now_ns) {
    for (const std::unique_ptr<Lane>& lane : lanes_) {
        const std::uint64_t depth = lane->ring.depth();
        if (depth > lane->high_water.load(std::memory_order_relaxed)) {
            lane->high_water.store(depth, std::memory_order_relaxed);
        }
    }
    for (std::size_t i = 0; i < kBatch; ++i) {
        Lane* const lane = earliest();
        if (lane == nullptr) {
            return true;
        }
        const sync::Message message = *lane->ring.front();
        lane->ring.pop();
        if (message.arrival_ns > now_ns) {
            now_ns = clock_->now_ns();
        }
        const Nanos at = std::min(message.arrival_ns, now_ns);
        fire(at);
        policy_->push(message, at, outlet_);
    }
    return false;
}

SyncThread::Lane* SyncThread::earliest() {
    Lane* first = nullptr;
    Nanos arrival = sync::kNever;
    for (const std::unique_ptr<Lane>& lane : lanes_) {
        const sync::Message* const message = lane->ring.front();
        if (message != nullptr && (first == nullptr || message->arrival_ns < arrival)) {
            first = lane.get();
            arrival = message->arrival_ns;
        }
    }
    return first;
}

// Each deadline at its own instant; those long past at once, for nobody wants sets of then any more.
void SyncThread::fire(Nanos until_ns) {
    for (Nanos due = policy_->next_deadline_ns(); due <= until_ns; due = policy_->next_deadline_ns()) {
        policy_->advance(sync::minus(until_ns, due) > kCatchUp ? until_ns : due, outlet_);
    }
}

void SyncThread::sleep(std::uint64_t asked) {
    wake_for_.store(std::max<std::uint64_t>(policy_->awaited(), 1), std::memory_order_seq_cst);
    const bool quiet = std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return !lane->ring.depth(); });
    if (quiet && state_.load(std::memory_order_seq_cst) == State::kRunning &&
        settle_asked_.load(std::memory_order_seq_cst) == asked) {
        answer(asked);
        clock_->sleep(alarm_, policy_->next_deadline_ns());
    }
    wake_for_.store(0, std::memory_order_seq_cst);
}

void SyncThread::answer(std::uint64_t asked) {
    if (asked == settle_answered_) {
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(settle_mutex_);
        settle_answered_ = asked;
    }
    settled_.notify_all();
}

bool SyncThread::settle(Nanos timeout_ns) {
    const Nanos deadline = sync::plus(monotonic_now_ns(), timeout_ns);
    const std::uint64_t mine = settle_asked_.fetch_add(1, std::memory_order_seq_cst) + 1;
    wake();
    std::unique_lock<std::mutex> lock(settle_mutex_);
    while (settle_answered_ < mine && !ended_ && monotonic_now_ns() < deadline) {
        settled_.wait_until(lock, deadline);
    }
    return settle_answered_ >= mine || (ended_ && failure_ == nullptr);
}

// On the thread itself, as the last thing it does: every frame is let go of, so that its owner can reclaim it.
void SyncThread::end() noexcept {
    outlet_.muted = true;
    if (!failed_.load(std::memory_order_relaxed)) {  // what a broken policy still holds, `clear` finds
        try {
            const std::lock_guard<std::mutex> lock(policy_mutex_);
            policy_->flush(sync::kLongAgo, outlet_);
        } catch (...) {
            fail();
        }
    }
    for (const std::unique_ptr<Lane>& lane : lanes_) {
        for (; lane->ring.front() != nullptr; lane->ring.pop()) {
            lane->pool.release(lane->ring.front()->handle);
        }
    }
    mailbox_.close();
    {
        const std::lock_guard<std::mutex> lock(settle_mutex_);
        ended_ = true;
    }
    settled_.notify_all();
}

void SyncThread::finish() noexcept {
    State running = State::kRunning;
    state_.compare_exchange_strong(running, State::kFinishing, std::memory_order_seq_cst);
    wake();
}

void SyncThread::stop() noexcept {
    state_.store(State::kStopping, std::memory_order_seq_cst);
    wake();
    const std::lock_guard<std::mutex> lock(join_mutex_);
    if (thread_.joinable()) {
        thread_.join();
        MatchedSet unread(most_in_set_);
        while (mailbox_.take(unread, 0) == Taken::kSet) {
            release(unread);
        }
    }
}

std::exception_ptr SyncThread::failure() const { return failed_.load(std::memory_order_acquire) ? failure_ : nullptr; }

sync::StreamHealth SyncThread::health(std::uint32_t stream) const {
    const std::lock_guard<std::mutex> lock(policy_mutex_);
    return policy_->health(stream);
}

LaneCounts SyncThread::counts(std::uint32_t stream) const {
    const Lane& lane = *lanes_[stream];
    const std::uint64_t ring_full = lane.ring_full.load(std::memory_order_relaxed);
    // Between two looks of the thread a ring may fill up; whoever was turned away has seen it full.
    const std::uint64_t most = ring_full > 0 ? lane.ring.capacity() : lane.high_water.load(std::memory_order_relaxed);
    return {lane.accepted.load(std::memory_order_relaxed), ring_full, lane.no_frame.load(std::memory_order_relaxed),
            most};
}

}  // namespace edge::live
