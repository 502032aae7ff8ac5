#include "edge/sync/anchored.hpp"

#include <algorithm>
#include <stdexcept>

namespace edge::sync {
namespace {

constexpr Nanos kSlack = 20 * kMillisecond;
constexpr Nanos kSilencePeriods = 2;              // of the anchor, between two sets, whatever happens
constexpr Nanos kLookahead = 500 * kMillisecond;  // transport delays and clock jitter that a history has room for

Nanos checked_budget(const AnchoredConfig& config) {
    if (config.budget_ns < 0 || config.budget_ns > kLongest) {
        throw std::invalid_argument("the budget must not be negative nor above 115 days");
    }
    const StreamConfig& anchor = config.streams[checked_anchor(config.anchor, config.streams.size())];
    return std::min(config.budget_ns, anchor.period_ns / 2 + kSlack);
}

Nanos checked_startup(const AnchoredConfig& config) {
    if (config.startup_ns < 0 || config.startup_ns > kLongest) {
        throw std::invalid_argument("the start-up time must not be negative nor above 115 days");
    }
    return config.startup_ns;
}

}  // namespace

Anchored::Anchored(const AnchoredConfig& config)
    : anchor_(config.anchor),
      period_ns_(0),
      budget_ns_(checked_budget(config)),
      startup_ns_(checked_startup(config)),
      intake_(config.streams, config.remap),
      assembler_(config.streams.size()) {
    period_ns_ = config.streams[anchor_].period_ns;
    tracks_.reserve(config.streams.size());
    for (std::uint32_t i = 0; i < config.streams.size(); ++i) {
        tracks_.emplace_back(config.streams[i], i, 2 * period_ns_ + budget_ns_ + kLookahead);
    }
}

void Anchored::push(const Message& message, Nanos now_ns, Sink& sink) {
    advance(now_ns, sink);
    for (const Record& record : intake_.accept(message, sink)) {
        take(record, sink);
    }
    emit_ready(sink);
}

void Anchored::advance(Nanos now_ns, Sink& sink) {
    now_ns_ = std::max(now_ns_, std::min(now_ns, kFarthest));
    while (next_deadline_ns() <= now_ns_) {
        const bool silent = silence_ends_ns() <= now_ns_;
        if (tick_due_ns() <= now_ns_ || (silent && pending_count_ == 0)) {
            add_tick(sink);
        }
        if (silent) {
            emit_first(sink);
        }
        emit_ready(sink);
    }
}

Nanos Anchored::next_deadline_ns() const {
    return std::min({earliest_deadline_ns(), tick_due_ns(), silence_ends_ns()});
}

// Deadlines and ticks follow stamps and delays, which a clock or a link can move. The bound on silence holds all the
// same.
Nanos Anchored::silence_ends_ns() const {
    return started_ && emitted_at_ns_ != kLongAgo && tick_due_ns() != kNever
               ? plus(emitted_at_ns_, kSilencePeriods * period_ns_)
               : kNever;
}

Room Anchored::room(std::uint32_t stream) const {
    const Track& track = tracks_.at(stream);
    const std::size_t pending = stream == anchor_ ? kMostPending + 1 : 0;
    return {track.capacity() + pending + Intake::kMostHeld, track.windowed() ? track.capacity() : 1};
}

// Where no set waits, only the anchor's next message can make one.
std::uint64_t Anchored::awaited() const {
    return started_ && pending_count_ == 0 ? std::uint64_t{1} << anchor_ : Policy::awaited();
}

void Anchored::take(const Record& record, Sink& sink) {
    if (startup_ends_ns_ == kNever) {
        prepare(record);
    }
    if (record.stream != anchor_) {
        tracks_[record.stream].admit(record, intake_, sink);
    }
    if (!started_ && (record.stream == anchor_ || all_others_heard())) {
        begin(record.end_ns, minus(record.arrival_ns, record.end_ns));
    }
    if (record.stream == anchor_) {
        take_anchor(record, sink);
    }
}

// The first message.
void Anchored::prepare(const Record& record) {
    startup_ends_ns_ = plus(record.arrival_ns, startup_ns_);
    start_delay_ns_ = minus(record.arrival_ns, record.end_ns);
    for (Track& track : tracks_) {
        track.start(record.arrival_ns);
    }
}

bool Anchored::all_others_heard() const {
    for (std::uint32_t i = 0; i < tracks_.size(); ++i) {
        if (i != anchor_ && tracks_[i].waited_for() && !tracks_[i].heard()) {
            return false;
        }
    }
    return true;
}

void Anchored::begin(Nanos stamp_ns, Nanos delay_ns) {
    started_ = true;
    tick_from_ns_ = std::max(stamp_ns, last_stamp_ns_);
    start_delay_ns_ = delay_ns;
}

void Anchored::take_anchor(const Record& record, Sink& sink) {
    const bool windowed = tracks_[anchor_].windowed();
    anchor_length_ns_ = minus(record.end_ns, record.stamp_ns);
    if (windowed) {
        tracks_[anchor_].admit(record, intake_, sink);
    }
    if (refuse_anchor(record, sink)) {
        return;
    }
    note_lag(record);
    cancel_predicted(record.end_ns);
    const Nanos deadline = plus(record.arrival_ns, budget_ns_);
    wait_for({record.end_ns, record.arrival_ns, deadline, false, record}, sink);
    alive_ = true;
    tick_from_ns_ = std::max(last_stamp_ns_, pending_count_ > 0 ? pending_[pending_count_ - 1].stamp_ns : kLongAgo);
}

// An anchor whose stamp is not beyond what was emitted cannot lead a set any more.
bool Anchored::refuse_anchor(const Record& record, Sink& sink) {
    const Nanos stamp = record.end_ns;
    const auto releases = [&](Release why) {
        if (!tracks_[anchor_].windowed()) {
            intake_.release(record, why, sink);
        }
        return true;
    };
    if (last_predicted_ && distance(stamp, last_stamp_ns_) < period_ns_ / 2) {
        alive_ = true;
        tick_from_ns_ = std::max(tick_from_ns_, stamp);
        note_lag(record);
        return releases(Release::kSuperseded);
    }
    if (stamp <= last_stamp_ns_) {
        return releases(Release::kLate);
    }
    for (std::size_t i = 0; i < pending_count_; ++i) {
        if (!pending_[i].predicted && pending_[i].stamp_ns == stamp) {
            return releases(Release::kDuplicate);
        }
    }
    return false;
}

void Anchored::note_lag(const Record& record) {
    if (record.end_ns > anchor_newest_ns_) {
        anchor_newest_ns_ = record.end_ns;
        anchor_lag_ns_ = std::min(minus(minus(record.arrival_ns, record.end_ns), usual_delay_ns()), period_ns_ / 2);
    }
}

// The anchor's own message takes the place of a tick that still waits.
void Anchored::cancel_predicted(Nanos near_ns) {
    const auto replaced = [&](const Pending& p) {
        return p.predicted && distance(p.stamp_ns, near_ns) < std::max<Nanos>(period_ns_ / 2, 1);
    };
    const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(pending_count_);
    pending_count_ = static_cast<std::size_t>(std::remove_if(pending_.begin(), end, replaced) - pending_.begin());
}

void Anchored::wait_for(const Pending& pending, Sink& sink) {
    if (pending_count_ == kMostPending) {
        emit_first(sink);
    }
    if (pending.stamp_ns <= last_stamp_ns_) {  // it was the oldest of them all
        if (!pending.predicted && !tracks_[anchor_].windowed()) {
            intake_.release(pending.anchor, Release::kLate, sink);
        }
        return;
    }
    std::size_t position = pending_count_++;
    for (; position > 0 && pending_[position - 1].stamp_ns > pending.stamp_ns; --position) {
        pending_[position] = pending_[position - 1];
    }
    pending_[position] = pending;
}

Nanos Anchored::usual_delay_ns() const {
    const StreamClock& clock = intake_.clock(anchor_);
    return clock.known() ? minus(clock.delay_ns(), anchor_length_ns_) : start_delay_ns_;
}

// A link that has become slower, or a stamp that has moved, is followed at once: else each message would come just
// after its tick until the usual delay has caught up, or the tick itself too late.
Nanos Anchored::anchor_delay_ns() const { return plus(usual_delay_ns(), anchor_lag_ns_); }

// Once the anchor is silent its ticks no longer wait for it, save for some jitter: a returning
// anchor comes first then.
Nanos Anchored::tick_due_ns() const {
    if (!started_) {
        return startup_ends_ns_;
    }
    if (!representable(plus(tick_from_ns_, period_ns_))) {
        return kNever;
    }
    const Nanos grace = alive_ ? period_ns_ / 2 : period_ns_ / 10;
    return plus(plus(tick_from_ns_, period_ns_ + grace), anchor_delay_ns());
}

void Anchored::add_tick(Sink& sink) {
    if (!started_) {  // the start-up time is over: the first tick is due now
        begin(minus(now_ns_, start_delay_ns_ + period_ns_ + period_ns_ / 2), start_delay_ns_);
    }
    alive_ = false;
    const Nanos skipped = minus(now_ns_, tick_due_ns()) / period_ns_;
    if (skipped > 0) {
        ticks_skipped_ += static_cast<std::uint64_t>(skipped);
        tick_from_ns_ = minus(now_ns_, plus(anchor_delay_ns(), period_ns_ + period_ns_ / 10));
    }
    tick_from_ns_ = plus(tick_from_ns_, period_ns_);
    const Nanos deadline = plus(plus(tick_from_ns_, anchor_delay_ns()), budget_ns_);
    wait_for({tick_from_ns_, now_ns_, std::max(deadline, now_ns_), true, {}}, sink);
}

Nanos Anchored::earliest_deadline_ns() const {
    Nanos earliest = kNever;
    for (std::size_t i = 0; i < pending_count_; ++i) {
        earliest = std::min(earliest, pending_[i].deadline_ns);
    }
    return earliest;
}

bool Anchored::settled(const Pending& pending) const {
    for (std::uint32_t i = 0; i < tracks_.size(); ++i) {
        const Nanos delay = intake_.clock(i).delay_ns();
        if (i != anchor_ && !tracks_[i].settled(pending.stamp_ns, pending.asked_ns, pending.deadline_ns, delay)) {
            return false;
        }
    }
    return true;
}

void Anchored::emit_ready(Sink& sink) {
    while (pending_count_ > 0 && (earliest_deadline_ns() <= now_ns_ || settled(pending_[0]))) {
        emit_first(sink);
    }
}

void Anchored::emit_first(Sink& sink) {
    const Pending first = pending_[0];
    std::move(pending_.begin() + 1, pending_.begin() + static_cast<std::ptrdiff_t>(pending_count_), pending_.begin());
    --pending_count_;
    const bool own = !first.predicted && !tracks_[anchor_].windowed();
    for (std::uint32_t i = 0; i < tracks_.size(); ++i) {
        if (i == anchor_ && own) {
            assembler_.set(first.anchor, Presence::kFresh);
        } else {
            assembler_.set(i, tracks_[i].match(first.stamp_ns, now_ns_, intake_.suspects(i)));
        }
    }
    emitted_at_ns_ = now_ns_;
    last_stamp_ns_ = first.stamp_ns;
    last_predicted_ = first.predicted;
    assembler_.emit(first.stamp_ns, now_ns_, first.predicted, sink);
    if (own) {
        tracks_[anchor_].use(first.anchor, intake_, sink);
    }
    for (Track& track : tracks_) {
        track.prune(first.stamp_ns, intake_, sink);
    }
}

void Anchored::flush(Nanos now_ns, Sink& sink) {
    advance(now_ns, sink);
    while (pending_count_ > 0) {
        emit_first(sink);
    }
    for (Track& track : tracks_) {
        track.flush(intake_, sink);
    }
    intake_.flush(sink);
    started_ = false;
    startup_ends_ns_ = kNever;
    emitted_at_ns_ = kLongAgo;
    alive_ = true;
}

}  // namespace edge::sync
