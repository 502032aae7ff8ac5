// A sink that keeps books: what every policy owes, whatever is pushed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "edge/sync/anchored.hpp"
#include "edge/sync/exact.hpp"
#include "edge/sync/latest.hpp"
#include "edge/sync/optimal.hpp"
#include "harness.hpp"

namespace ledger {

namespace sync = edge::sync;

// Checks that stamps only grow, that no set names a handle that was let go of, that nothing is fresh twice, and that
// every handle is let go of exactly once.
class Ledger final : public sync::Sink {
 public:
    explicit Ledger(std::size_t handles) : gone_(handles, 0), used_(handles, 0) {}

    void emitted(const sync::Emission& set) override {
        CHECK(sets == 0 || set.anchor_stamp_ns > last_stamp_);
        CHECK(sets == 0 || set.emitted_ns >= last_emitted_);
        CHECK(set.seq == sets);
        CHECK(set.spread_ns >= 0);
        last_stamp_ = set.anchor_stamp_ns;
        last_emitted_ = set.emitted_ns;
        ++sets;
        for (std::size_t i = 0; i < set.count; ++i) {
            take(set.members[i]);
        }
    }
    void released(std::uint64_t handle, std::uint32_t, sync::Release why) override {
        CHECK(gone_.at(handle) == 0);
        gone_[handle] = 1;
        CHECK((why == sync::Release::kUsed) == (used_[handle] != 0));
        ++counts[static_cast<std::size_t>(why)];
    }
    void check_all_gone(std::size_t pushed) const {
        for (std::size_t i = 0; i < pushed; ++i) {
            CHECK(gone_[i] == 1);
        }
    }

    std::uint64_t sets = 0;
    std::uint64_t counts[static_cast<std::size_t>(sync::Release::kCount)] = {};

 private:
    void take(const sync::Member& member) {
        CHECK((member.count > 0) == (member.presence <= sync::Presence::kHeld));
        for (std::size_t i = 0; i < member.count; ++i) {
            const std::uint64_t handle = member.handles[i];
            CHECK(gone_.at(handle) == 0);
            CHECK(member.count > 1 || member.presence != sync::Presence::kFresh || windowed || used_[handle] == 0);
            used_[handle] = 1;
        }
    }

    std::vector<char> gone_, used_;
    sync::Nanos last_stamp_ = 0, last_emitted_ = 0;

 public:
    bool windowed = false;
};

inline std::vector<sync::StreamConfig> street(bool windows) {
    std::vector<sync::StreamConfig> streams(3);
    streams[0].period_ns = 33 * sync::kMillisecond;
    streams[0].absence = sync::Absence::kHold;
    streams[0].max_age_ns = 150 * sync::kMillisecond;
    streams[1].period_ns = 100 * sync::kMillisecond;
    streams[1].absence = sync::Absence::kHold;
    streams[1].max_age_ns = 250 * sync::kMillisecond;
    streams[2].period_ns = 20 * sync::kMillisecond;
    streams[2].window_ns = windows ? 500 * sync::kMillisecond : 0;
    return streams;
}

// Every policy in its variants.
inline std::vector<std::unique_ptr<sync::Policy>> policies(bool windows) {
    std::vector<std::unique_ptr<sync::Policy>> all;
    for (const bool remap : {true, false}) {
        all.push_back(
            std::make_unique<sync::Anchored>(sync::AnchoredConfig{street(windows), 1, 60 * sync::kMillisecond, remap}));
        all.push_back(
            std::make_unique<sync::Anchored>(sync::AnchoredConfig{street(windows), 2, 60 * sync::kMillisecond, remap}));
        if (!windows) {
            all.push_back(std::make_unique<sync::Exact>(sync::ExactConfig{street(false), 5, true, remap}));
            all.push_back(std::make_unique<sync::Latest>(sync::LatestConfig{street(false), 1, remap}));
            all.push_back(std::make_unique<sync::Optimal>(
                sync::OptimalConfig{street(false), 1, 5, 0.1, sync::kNever, {}, remap}));
            all.push_back(std::make_unique<sync::Optimal>(sync::OptimalConfig{
                street(false), 1, 1, 0.0, sync::kSecond, {29'000'000, 97'000'000, 18'000'000}, remap}));
        }
    }
    return all;
}

// xorshift64: the same on every machine.
class Draw {
 public:
    explicit Draw(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
    std::uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    std::uint64_t below(std::uint64_t n) { return next() % n; }
    sync::Nanos between(sync::Nanos low, sync::Nanos high) {
        return low + static_cast<sync::Nanos>(below(static_cast<std::uint64_t>(high - low) + 1));
    }

 private:
    std::uint64_t state_;
};

}  // namespace ledger
