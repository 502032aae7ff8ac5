// What the bindings of the policies lend to those of the live thread.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "edge/sync/policy.hpp"

// The policy inside a `Synchronization`, which is of no use afterwards.
std::unique_ptr<edge::sync::Policy> hand_over_policy(nanobind::handle synchronization);
// The same, to be looked at only.
const edge::sync::Policy& policy_of(nanobind::handle synchronization);

nanobind::object as_tuple(const edge::sync::StreamHealth& health);
