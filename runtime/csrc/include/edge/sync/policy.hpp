// What all synchronization policies share: messages in, fused sets and released handles out. A policy is single
// threaded, owns no clock, and allocates only while it is constructed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edge/sync/nanos.hpp"

namespace edge::sync {

// What to do where no fresh sample matches. kRequired: wait for the deadline, then missing. kHold: wait likewise,
// then the last sample if young enough. kMask: never waited for.
enum class Absence : std::uint8_t { kRequired, kHold, kMask };

constexpr Nanos kUnknown = -1;

struct StreamConfig {
    Nanos period_ns = 0;            // nominal time between two messages
    Nanos min_period_ns = 0;        // no two stamps are closer; 0: 0.97 periods
    Nanos tolerance_ns = 0;         // farthest fresh match from the anchor; 0: 1.05 periods
    Nanos latency_offset_ns = 0;    // added to each stamp
    Nanos transport_ns = kUnknown;  // declared delay from stamp to arrival; where unknown it is learned
    Nanos max_age_ns = 0;           // kHold: oldest sample that may stand in
    Nanos window_ns = 0;            // > 0: the set names the chunks of the window that ends at the anchor's stamp
    Nanos conceal_ns = 0;           // longest hole in a window that is bridged; half a period always is
    Absence absence = Absence::kRequired;
    std::uint32_t clock = 0;  // streams of one clock step together, by exactly the same amount
};

struct Message {
    std::uint32_t stream = 0;
    Nanos stamp_ns = 0;    // sensor's clock
    Nanos arrival_ns = 0;  // host's monotonic clock
    std::uint64_t handle = 0;
    Nanos duration_ns = 0;  // chunks of a window stream: from the first value's stamp to just after the last
};

// A message whose stamp was brought to the common axis.
struct Record {
    Nanos stamp_ns = 0;
    Nanos end_ns = 0;  // stamp + duration
    Nanos arrival_ns = 0;
    std::uint64_t handle = 0;
    std::uint32_t stream = 0;
    std::uint32_t epoch = 0;
    bool used = false;
};

// How a stream takes part in a set; all values after kHeld say why it is missing.
enum class Presence : std::uint8_t {
    kFresh,
    kHeld,  // used before, or too far for a fresh match but young enough
    kNeverSeen,
    kSilent,     // nothing for three periods
    kRemapping,  // its clock stepped and is being learned again
    kTooFar,     // there are samples, none near enough
    kGap,        // a hole in the window
    kShort,      // the window is not full yet
};

struct Member {
    Presence presence = Presence::kNeverSeen;
    std::uint32_t epoch = 0;
    Nanos stamp_ns = 0;                      // of the sample; of a window, its end
    const std::uint64_t* handles = nullptr;  // one; of a window, its chunks from old to new
    const Nanos* stamps_ns = nullptr;        // of each of them on the common axis
    std::size_t count = 0;
};

struct Emission {
    std::uint64_t seq = 0;
    Nanos anchor_stamp_ns = 0;
    Nanos emitted_ns = 0;
    Nanos spread_ns = 0;              // between the oldest and the newest member
    bool predicted = false;           // the anchor was silent: the stamp is where its next one should have been
    const Member* members = nullptr;  // one a stream; valid during the call only
    std::size_t count = 0;
};

// Why the core lets go of a handle; every handle that was pushed is released exactly once.
enum class Release : std::uint8_t {
    kUsed,        // was part of a set
    kPassed,      // never the nearest
    kLate,        // older than what was already emitted
    kDuplicate,   // a stamp that the stream already had
    kStuck,       // the same stamp three times or more in a row
    kBackward,    // older than its predecessor, where a policy needs order
    kFuture,      // far ahead of its arrival, and no step of the clock
    kSuperseded,  // the anchor came back right after its predicted tick
    kOverflow,    // the history was full
    kOutOfRange,  // stamp or arrival beyond +-kFarthest, or no such stream
    kFlushed,
    kCount
};

class Sink {
 public:
    virtual ~Sink() = default;
    virtual void emitted(const Emission& emission) = 0;
    virtual void released(std::uint64_t handle, std::uint32_t stream, Release why) = 0;
};

// Running facts of one stream.
struct StreamHealth {
    std::uint64_t received = 0;
    std::uint64_t released[static_cast<std::size_t>(Release::kCount)] = {};
    std::uint64_t out_of_order = 0;     // older than its predecessor, used nevertheless
    std::uint64_t negative_delays = 0;  // arrived before it was measured: an offset is wrong
    std::uint32_t epoch = 0;
    Nanos epoch_offset_ns = 0;  // what the epochs added to the stamps
    bool stuck = false;
    Nanos delay_ns = 0;  // mean arrival - stamp; a constant clock offset is in it
    Nanos min_delay_ns = 0;
    Nanos offset_estimate_ns = 0;  // how far the stamps seem ahead: declared transport (or 0) - delay
    double drift_ppm = 0.0;        // NaN until known; positive where the sensor's clock runs fast
};

// How many messages of one stream a policy holds at most, and how many a set names.
struct Room {
    std::size_t held = 0;
    std::size_t in_set = 1;
};

class Policy {
 public:
    virtual ~Policy() = default;
    // `now_ns` never runs back: an earlier one counts as the latest seen. Deadlines up to now fire first.
    virtual void push(const Message& message, Nanos now_ns, Sink& sink) = 0;
    virtual void advance(Nanos now_ns, Sink& sink) = 0;
    // When `advance` next has something to do; kNever where only a message can change anything.
    virtual Nanos next_deadline_ns() const { return kNever; }
    // Emits what still waits for a deadline, then releases every handle.
    virtual void flush(Nanos now_ns, Sink& sink) = 0;
    virtual StreamHealth health(std::uint32_t stream) const = 0;
    virtual std::size_t streams() const = 0;
    virtual Room room(std::uint32_t stream) const = 0;
    // Bit i: a message of stream i may make a set ready or move the next deadline. Messages of other streams may as
    // well be pushed later, together, before the next of these or the deadline.
    virtual std::uint64_t awaited() const { return ~std::uint64_t{0}; }
};

}  // namespace edge::sync
