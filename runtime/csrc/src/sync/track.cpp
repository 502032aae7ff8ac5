#include "edge/sync/track.hpp"

#include <algorithm>

namespace edge::sync {
namespace {

constexpr Nanos kSilentPeriods = 3;
constexpr std::size_t kLeastRoom = 8, kMostRoom = 4096;

StreamConfig completed(StreamConfig config) {
    if (config.min_period_ns == 0) {
        config.min_period_ns = config.period_ns - config.period_ns / 32;
    }
    if (config.tolerance_ns == 0) {
        config.tolerance_ns = config.period_ns + config.period_ns / 20;
    }
    return config;
}

std::size_t room(const StreamConfig& config, Nanos lookahead_ns) {
    const Nanos kept = config.window_ns > 0 ? config.window_ns + config.max_age_ns + config.conceal_ns : 0;
    const auto messages = static_cast<std::size_t>((kept + lookahead_ns) / config.min_period_ns);
    return std::min(messages + kLeastRoom, kMostRoom);
}

constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

}  // namespace

Track::Track(const StreamConfig& config, std::uint32_t stream, Nanos lookahead_ns)
    : config_(completed(config)),
      stream_(stream),
      hole_ns_(std::max(config_.period_ns / 2, config_.conceal_ns)),
      history_(room(config_, lookahead_ns)) {
    handles_.reserve(history_.capacity());
    stamps_ns_.reserve(history_.capacity());
}

bool Track::silent(Nanos now_ns) const { return minus(now_ns, last_arrival_ns_) > kSilentPeriods * config_.period_ns; }

void Track::admit(const Record& record, Intake& intake, Sink& sink) {
    last_arrival_ns_ = std::max(last_arrival_ns_, record.arrival_ns);
    if (!windowed() && record.stamp_ns <= last_used_ns_) {
        intake.release(record, Release::kLate, sink);
        return;
    }
    if (history_.contains(record.stamp_ns)) {
        intake.release(record, Release::kDuplicate, sink);
        return;
    }
    if (record.stamp_ns < newest_ns_) {
        intake.count_out_of_order(stream_);
    }
    insert(record, intake, sink);
    newest_ns_ = std::max(newest_ns_, record.stamp_ns);
    newest_end_ns_ = std::max(newest_end_ns_, record.end_ns);
}

void Track::insert(const Record& record, Intake& intake, Sink& sink) {
    if (history_.full() && record.stamp_ns < history_.front().stamp_ns) {
        intake.release(record, Release::kLate, sink);
        return;
    }
    if (history_.full()) {
        intake.release(history_.front(), history_.front().used ? Release::kUsed : Release::kOverflow, sink);
        history_.pop_front();
    }
    history_.insert(record);
}

bool Track::settled(Nanos T, Nanos asked_ns, Nanos deadline_ns, Nanos delay_ns) const {
    if (config_.absence == Absence::kMask || newest_end_ns_ >= T || silent(asked_ns)) {
        return true;
    }
    if (windowed() || !heard()) {
        return false;
    }
    const Nanos earliest = plus(newest_ns_, config_.min_period_ns);  // no later message can have a smaller stamp
    const Nanos ahead = minus(earliest, T);
    const bool fresh = newest_ns_ > last_used_ns_;
    if (ahead >= (fresh ? minus(T, newest_ns_) : config_.tolerance_ns)) {
        return true;
    }
    const Nanos expected = plus(earliest, delay_ns);  // its arrival
    return expected > plus(deadline_ns, config_.period_ns / 4);
}

Member Track::match(Nanos T, Nanos now_ns, bool remapping) {
    return windowed() ? match_window(T, now_ns, remapping) : match_nearest(T, now_ns, remapping);
}

Member Track::member(Record& record, Presence presence) {
    record.used = true;
    last_used_ns_ = std::max(last_used_ns_, record.stamp_ns);
    handles_.assign(1, record.handle);
    stamps_ns_.assign(1, record.stamp_ns);
    return {presence, record.epoch, record.stamp_ns, handles_.data(), stamps_ns_.data(), 1};
}

Member Track::missing(Nanos now_ns, bool remapping) const {
    Member member;
    member.presence = !heard()         ? Presence::kNeverSeen
                      : remapping      ? Presence::kRemapping
                      : silent(now_ns) ? Presence::kSilent
                                       : Presence::kTooFar;
    return member;
}

// Position of the unused record nearest to T, the earlier of two as near; kNowhere if there is none.
std::size_t Track::nearest_fresh(Nanos T) const {
    const std::size_t until = history_.count_until(T);
    const bool before = until > 0 && history_.at(until - 1).stamp_ns > last_used_ns_;
    const bool after = until < history_.size() && history_.at(until).stamp_ns > last_used_ns_;
    if (before && after) {
        const Nanos past = minus(T, history_.at(until - 1).stamp_ns), ahead = minus(history_.at(until).stamp_ns, T);
        return past <= ahead ? until - 1 : until;
    }
    if (before) {
        return until - 1;
    }
    // Everything up to the last used record is spent, so the first fresh one may lie further on.
    std::size_t position = until;
    while (position < history_.size() && history_.at(position).stamp_ns <= last_used_ns_) {
        ++position;
    }
    return position < history_.size() ? position : kNowhere;
}

Member Track::match_nearest(Nanos T, Nanos now_ns, bool remapping) {
    const std::size_t fresh = nearest_fresh(T);
    if (fresh != kNowhere && distance(history_.at(fresh).stamp_ns, T) <= config_.tolerance_ns) {
        return member(history_.at(fresh), Presence::kFresh);
    }
    const std::size_t until = history_.count_until(plus(T, config_.tolerance_ns));
    if (config_.absence == Absence::kHold && until > 0) {
        Record& last = history_.at(until - 1);
        if (minus(T, last.stamp_ns) <= config_.max_age_ns) {
            return member(last, Presence::kHeld);
        }
    }
    return missing(now_ns, remapping);
}

// The window that ends at T; or, held, the newest unbroken one that ends earlier.
Member Track::match_window(Nanos T, Nanos now_ns, bool remapping) {
    const Nanos oldest_end = config_.absence == Absence::kHold ? minus(T, config_.max_age_ns) : T;
    std::size_t behind = history_.size();
    while (behind > 0 && history_.at(behind - 1).stamp_ns >= T) {
        --behind;  // chunks that start at T or later
    }
    Presence why = missing(now_ns, remapping).presence;
    if (behind == 0) {
        return {why == Presence::kTooFar ? Presence::kShort : why, 0, 0, nullptr, nullptr, 0};
    }
    // Stamps jitter, so T may fall into the seam between two chunks.
    const Nanos last_end = history_.at(behind - 1).end_ns;
    const bool seam = behind < history_.size() && minus(history_.at(behind).stamp_ns, last_end) <= hole_ns_;
    Nanos end = seam ? T : std::min(T, last_end);
    for (std::size_t first = behind; first-- > 0 && end >= oldest_end;) {
        const Nanos start = minus(end, config_.window_ns), stamp = history_.at(first).stamp_ns;
        const bool broken = first == 0 || minus(stamp, history_.at(first - 1).end_ns) > hole_ns_;
        if (stamp <= start || (broken && minus(stamp, start) <= hole_ns_)) {
            return cut_window(end, first, behind, end < T);
        }
        why = first == 0 ? Presence::kShort : Presence::kGap;
        if (broken && first > 0) {
            end = std::min(end, history_.at(first - 1).end_ns);
            behind = first;
        }
    }
    return {why, 0, 0, nullptr, nullptr, 0};
}

Member Track::cut_window(Nanos end_ns, std::size_t first, std::size_t behind, bool held) {
    const Nanos start = minus(end_ns, config_.window_ns);
    handles_.clear();
    stamps_ns_.clear();
    // One chunk more than the stamps ask for: they jitter, and the window is to be full.
    for (std::size_t i = first > 0 ? first - 1 : 0; i < behind; ++i) {
        Record& chunk = history_.at(i);
        if (plus(chunk.end_ns, config_.period_ns) > start) {
            chunk.used = true;
            handles_.push_back(chunk.handle);
            stamps_ns_.push_back(chunk.stamp_ns);
        }
    }
    const std::uint32_t epoch = history_.at(behind - 1).epoch;
    const Presence presence = held ? Presence::kHeld : Presence::kFresh;
    return {presence, epoch, end_ns, handles_.data(), stamps_ns_.data(), handles_.size()};
}

void Track::use(const Record& record, Intake& intake, Sink& sink) {
    last_arrival_ns_ = std::max(last_arrival_ns_, record.arrival_ns);
    newest_ns_ = std::max(newest_ns_, record.stamp_ns);
    newest_end_ns_ = std::max(newest_end_ns_, record.end_ns);
    last_used_ns_ = std::max(last_used_ns_, record.stamp_ns);
    Record used = record;
    used.used = true;
    insert(used, intake, sink);
}

void Track::release_front(Intake& intake, Sink& sink) {
    intake.release(history_.front(), history_.front().used ? Release::kUsed : Release::kPassed, sink);
    history_.pop_front();
}

void Track::prune(Nanos T, Intake& intake, Sink& sink) {
    const bool holds = config_.absence == Absence::kHold;
    const Nanos oldest = holds ? minus(T, config_.max_age_ns) : T;
    if (windowed()) {
        const Nanos start = minus(minus(oldest, config_.window_ns), plus(hole_ns_, config_.period_ns));
        while (!history_.empty() && history_.front().end_ns < start) {
            release_front(intake, sink);
        }
        return;
    }
    // Of all records up to T only the newest can still be the nearest to a later anchor, or be held.
    while (history_.size() > 1 && history_.at(1).stamp_ns <= std::max(T, last_used_ns_)) {
        release_front(intake, sink);
    }
    if (!history_.empty() && history_.front().used && (!holds || history_.front().stamp_ns < oldest)) {
        release_front(intake, sink);
    }
}

void Track::flush(Intake& intake, Sink& sink) {
    while (!history_.empty()) {
        intake.release(history_.front(), history_.front().used ? Release::kUsed : Release::kFlushed, sink);
        history_.pop_front();
    }
}

}  // namespace edge::sync
