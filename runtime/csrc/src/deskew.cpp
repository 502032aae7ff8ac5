#include "edge/deskew.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "edge/dispatch.hpp"

namespace edge {
namespace {

constexpr double kSliceS = 2e-4;
constexpr double kMostSlices = 8192;
constexpr std::size_t kBlock = 256;
constexpr std::size_t kMatrix = 16;  // 3x4 by columns, each padded to four

// Four floats at once: x, y, z and one unused, or four times. The compiler finds no such vectors by itself here.
constexpr std::size_t kLanes = 4;
using Four = float __attribute__((vector_size(16)));
using FourCounts = std::int32_t __attribute__((vector_size(16)));

EDGE_INLINE Four load(const float* from) {
    Four four;
    std::memcpy(&four, from, sizeof(four));
    return four;
}

struct Span {
    float first;
    float last;
    std::size_t timeless;
};

// First and last finite time, and how many points have none.
EDGE_CLONES Span span_of(const float* times, std::size_t count) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    Four first = Four{} + kInfinity, last = Four{} - kInfinity;
    FourCounts timed{};
    std::array<float, kLanes> rest;
    rest.fill(kInfinity);
    std::copy_n(times + count - count % kLanes, count % kLanes, rest.begin());
    for (std::size_t i = 0; i < count; i += kLanes) {
        const Four time = load(i + kLanes <= count ? times + i : rest.data());
        const FourCounts finite = (time - time) == 0.0F;  // -1 where it is
        first = (finite & (time < first)) ? time : first;
        last = (finite & (time > last)) ? time : last;
        timed -= finite;
    }
    Span span{kInfinity, -kInfinity, count};
    for (std::size_t k = 0; k < kLanes; ++k) {
        span.first = std::min(span.first, first[k]);
        span.last = std::max(span.last, last[k]);
        span.timeless -= static_cast<std::size_t>(timed[k]);
    }
    return span;
}

// Transforms at the borders of equal slices of time.
struct Slices {
    std::vector<float> matrices;
    float first;
    float per_second;
    float count;
};

Slices slices_of(const Trajectory& motion, const Transform& motion_from_sensor, double target_s, const Span& span) {
    const double length = static_cast<double>(span.last) - static_cast<double>(span.first);
    const double count = std::min(std::max(std::ceil(length / kSliceS), 1.0), kMostSlices);
    const Transform sensor_from_motion = inverse(motion_from_sensor);
    const Transform target_from_start = compose(sensor_from_motion, inverse(motion.at(target_s)));
    Slices slices{{}, span.first, length > 0.0 ? static_cast<float>(count / length) : 0.0F, static_cast<float>(count)};
    slices.matrices.resize((static_cast<std::size_t>(count) + 1) * kMatrix, 0.0F);
    for (std::size_t i = 0; i * kMatrix < slices.matrices.size(); ++i) {
        const double at = static_cast<double>(span.first) + length * (static_cast<double>(i) / count);
        const Transform T = compose(target_from_start, compose(motion.at(at), motion_from_sensor));
        for (std::size_t row = 0; row < 3; ++row) {
            for (std::size_t column = 0; column < 4; ++column) {
                slices.matrices[i * kMatrix + 4 * column + row] = static_cast<float>(T[4 * row + column]);
            }
        }
    }
    return slices;
}

// Where in the slices each point of a block lies, and which points stay where they are.
struct Block {
    std::array<std::int32_t, kBlock> slices;
    std::array<float, kBlock> parts;
    std::array<std::int32_t, kBlock> stays;
};

EDGE_CLONES std::int32_t locate_block(const Slices& given, const float* points, const float* times, std::size_t count,
                                      Block& block) {
    const float first = given.first, per_second = given.per_second, most = given.count;
    const auto last_slice = static_cast<std::int32_t>(most) - 1;
    std::int32_t staying = 0;
    EDGE_INDEPENDENT
    for (std::size_t i = 0; i < count; ++i) {
        const float x = points[4 * i], y = points[4 * i + 1], z = points[4 * i + 2], time = times[i];
        const float wanted = (time - first) * per_second;
        float at = wanted > 0.0F ? wanted : 0.0F;  // also where the time is not a number
        at = at < most ? at : most;
        std::int32_t slice = static_cast<std::int32_t>(at);
        slice = slice < last_slice ? slice : last_slice;
        block.slices[i] = slice;
        block.parts[i] = at - static_cast<float>(slice);
        // x - x is 0 for finite x only.
        const float zeros = (x - x) + (y - y) + (z - z) + (time - time);
        const bool moves = (zeros == 0.0F) & ((x != 0.0F) | (y != 0.0F) | (z != 0.0F));
        block.stays[i] = moves ? 0 : 1;
        staying += moves ? 0 : 1;
    }
    return staying;
}

EDGE_CLONES void move_block(const float* matrices, const Block& block, const float* points, std::size_t count,
                            float* moved) {
    for (std::size_t i = 0; i < count; ++i) {
        const float* p = points + 4 * i;
        const float* at = matrices + kMatrix * static_cast<std::size_t>(block.slices[i]);
        const float part = block.parts[i];
        const Four a0 = load(at), a1 = load(at + 4), a2 = load(at + 8), a3 = load(at + 12);
        const Four c0 = a0 + part * (load(at + 16) - a0), c1 = a1 + part * (load(at + 20) - a1);
        const Four c2 = a2 + part * (load(at + 24) - a2), c3 = a3 + part * (load(at + 28) - a3);
        const Four sum = (c0 * p[0] + c1 * p[1]) + (c2 * p[2] + c3);
        float* to = moved + 4 * i;
        std::memcpy(to, &sum, sizeof(sum));
        to[3] = p[3];
    }
}

void move_points(const Slices& slices, const float* points, const float* times, std::size_t count, float* moved) {
    Block block;
    for (std::size_t start = 0; start < count; start += kBlock) {
        const std::size_t size = std::min(kBlock, count - start);
        const float* from = points + 4 * start;
        float* to = moved + 4 * start;
        const std::int32_t staying = locate_block(slices, from, times + start, size, block);
        move_block(slices.matrices.data(), block, from, size, to);
        for (std::size_t i = 0; staying > 0 && i < size; ++i) {
            if (block.stays[i] != 0) {
                std::copy_n(from + 4 * i, 4, to + 4 * i);
            }
        }
    }
}

DeskewOutcome covered(const Trajectory& motion, double from_s, double to_s, double reach_s) {
    if (!(from_s >= motion.first_s() - reach_s)) {
        return DeskewOutcome::kBeforeMotion;
    }
    if (!(to_s <= motion.last_s() + reach_s)) {
        return DeskewOutcome::kAfterMotion;
    }
    return motion.longest_gap_s(from_s, to_s) > 2.0 * reach_s ? DeskewOutcome::kMotionGap : DeskewOutcome::kDone;
}

}  // namespace

Deskewed deskew(const Trajectory& motion, const Transform& motion_from_sensor, double target_s, MotionReach reach,
                Points points, const float* offsets_s, float* moved) {
    if (points.count == 0) {
        return {DeskewOutcome::kDone, 0};
    }
    const Span span = span_of(offsets_s, points.count);
    if (span.timeless == points.count) {
        return {DeskewOutcome::kNoTimes, span.timeless};
    }
    // In this order a target that is not a number is kept, and refused.
    const double from_s = std::min<double>(target_s, span.first), to_s = std::max<double>(target_s, span.last);
    const DeskewOutcome outcome = covered(motion, from_s, to_s, reach.seconds);
    if (outcome == DeskewOutcome::kDone) {
        move_points(slices_of(motion, motion_from_sensor, target_s, span), points.data, offsets_s, points.count, moved);
    }
    return {outcome, span.timeless};
}

}  // namespace edge
