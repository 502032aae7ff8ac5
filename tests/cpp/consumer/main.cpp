// Two sensors, one instant: uses the installed synchronizer and projection as a robot's program would.
#include <cstdio>
#include <vector>

#include "edge/projection.hpp"
#include "edge/sync/anchored.hpp"

namespace {

class Count final : public edge::sync::Sink {
 public:
    void emitted(const edge::sync::Emission& set) override {
        constexpr auto kFresh = edge::sync::Presence::kFresh;
        complete += set.members[0].presence == kFresh && set.members[1].presence == kFresh ? 1 : 0;
    }
    void released(std::uint64_t, std::uint32_t, edge::sync::Release) override {}
    int complete = 0;
};

int synchronized_sets() {
    using edge::sync::kMillisecond;
    std::vector<edge::sync::StreamConfig> streams(2);
    streams[0].period_ns = streams[1].period_ns = 100 * kMillisecond;
    edge::sync::Anchored policy({streams, 0, 60 * kMillisecond, true});
    Count sink;
    std::uint64_t handle = 0;
    for (edge::sync::Nanos stamp = 0; stamp < 1000 * kMillisecond; stamp += 100 * kMillisecond) {
        for (std::uint32_t stream = 0; stream < 2; ++stream) {
            const edge::sync::Nanos arrival = stamp + (5 + stream) * kMillisecond;
            policy.push({stream, stamp + stream * kMillisecond, arrival, handle++, 0}, arrival, sink);
        }
    }
    policy.flush(1100 * kMillisecond, sink);
    return sink.complete;
}

bool a_point_ahead_is_seen() {
    const edge::Camera camera(100, 100, 50, 40, edge::Lens::kNone, {});
    const std::vector<float> point{0, 0, 5, 0.5F};
    float uvz[3];
    std::uint8_t visible = 0;
    edge::project_points(camera, {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}, {0, 0, 100, 80}, {point.data(), 1}, uvz,
                         &visible);
    return visible == 1 && uvz[0] == 50.0F && uvz[1] == 40.0F && uvz[2] == 5.0F;
}

}  // namespace

int main() {
    const int sets = synchronized_sets();
    const bool seen = a_point_ahead_is_seen();
    std::printf("%d sets, point %s\n", sets, seen ? "seen" : "not seen");
    return sets == 10 && seen ? 0 : 1;
}
