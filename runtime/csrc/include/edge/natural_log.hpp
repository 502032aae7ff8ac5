// ln(x) that vectorizes; the library's does not.
#pragma once

#include <cstdint>
#include <cstring>

#include "edge/dispatch.hpp"

namespace edge {

// ln of a positive, normal and finite x, to 2 units in the last place: x = m 2^e with m in [sqrt(1/2), sqrt(2)),
// then the series of 2 artanh((m - 1) / (m + 1)).
EDGE_INLINE float natural_log(float x) {
    std::int32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;
    bits -= exponent * (1 << 23);
    float m;
    std::memcpy(&m, &bits, sizeof(m));
    const float s = (m - 1.0F) / (m + 1.0F);
    const float z = s * s;
    const float series = s * z * (2.0F / 3 + z * (2.0F / 5 + z * (2.0F / 7 + z * (2.0F / 9))));
    return static_cast<float>(exponent) * 0.693147181F + (2.0F * s + series);
}

}  // namespace edge
