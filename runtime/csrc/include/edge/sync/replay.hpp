// Plays recorded messages into a policy in virtual time.
#pragma once

#include <cstddef>

#include "edge/sync/policy.hpp"

namespace edge::sync {

// Messages in the order of their arrival; between two of them every deadline fires at its own instant.
inline void replay(Policy& policy, const Message* messages, std::size_t count, Sink& sink) {
    for (std::size_t i = 0; i < count; ++i) {
        const Nanos arrival = messages[i].arrival_ns;
        for (Nanos due = policy.next_deadline_ns(); due <= arrival; due = policy.next_deadline_ns()) {
            policy.advance(due, sink);
        }
        policy.push(messages[i], arrival, sink);
    }
}

}  // namespace edge::sync
