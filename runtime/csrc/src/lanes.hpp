// The signals that are transformed together, as one value.
#pragma once

#include <cstring>

#include "edge/dispatch.hpp"
#include "edge/fft.hpp"

namespace edge {

// A vector extension of GCC and Clang: loops over so few lanes are unrolled before they would be vectorized, and then
// are not.
using Lanes = double __attribute__((vector_size(kLanes * sizeof(double))));

EDGE_INLINE void load(const double* from, Lanes& to) { std::memcpy(&to, from, sizeof(to)); }
EDGE_INLINE void store(const Lanes& from, double* to) { std::memcpy(to, &from, sizeof(from)); }

}  // namespace edge
