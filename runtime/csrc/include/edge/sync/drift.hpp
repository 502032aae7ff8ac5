// How fast a sensor's clock runs, from the smallest delays (arrival - stamp) of consecutive stretches of time.
#pragma once

#include <array>
#include <cstddef>

#include "edge/sync/nanos.hpp"

namespace edge::sync {

// The smallest delay of a stretch is the one least delayed on its way, so it moves with the clock alone. Stretches
// start at 5 s and double as the record fills; memory and time a message are constant.
class Drift {
 public:
    void add(Nanos arrival_ns, Nanos delay_ns);
    void clear() { count_ = 0; }

    // Least squares over the stretches: positive where the sensor's clock runs fast, NaN below three stretches.
    double ppm() const;

 private:
    struct Stretch {
        Nanos start_ns;
        Nanos arrival_ns;
        Nanos delay_ns;
    };
    static constexpr std::size_t kStretches = 16;
    static constexpr Nanos kShortest = 5 * kSecond;
    static constexpr Nanos kLongestStretch = 160 * kSecond;
    void make_room();

    std::array<Stretch, kStretches> stretches_{};
    std::size_t count_ = 0;
    Nanos length_ns_ = kShortest;
};

}  // namespace edge::sync
