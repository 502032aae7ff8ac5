#pragma once

#include <cstddef>

namespace edge::sync {

// The smallest power of two that is not below `least`.
inline std::size_t power_of_two(std::size_t least) {
    std::size_t size = 1;
    while (size < least) {
        size *= 2;
    }
    return size;
}

}  // namespace edge::sync
