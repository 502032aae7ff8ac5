"""What the synchronizer costs and gives: microseconds a message, spread, added wait, silence, completeness.

    python benchmarks/synchronizer.py [--seconds 600] [--rounds 5] [--json]

Streams like those that message_filters was measured on: camera 29.97 Hz, lidar 10 Hz, audio 50.05 Hz, stamp jitter
and transport delays. Scenarios: nominal; drop5: 5 % of all messages lost; outage: the lidar is dead 5 s in every
20 s; late: 2 % of all messages 200 ms late; jump: all clocks step back 5 s half way; jump_audio: that one alone.
Wait is emission minus the arrival of the set's last sample: what the algorithm adds.

The audio messages are matched one by one, as message_filters did; `sound` is the nominal scenario with windows of
sound cut out of them instead, which every lost chunk leaves incomplete for the length of a window.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Reading, Sample
from edge.runtime.statistics import Distribution
from edge.runtime.synchronizer import SyncedSet, Synchronizer

SCENARIOS = ("nominal", "drop5", "outage", "late", "jump", "jump_audio", "sound", "sound_drop5")
WINDOW_NS = NS_PER_S // 2
AUDIO_RATE_HZ = 1600  # low, so that cutting windows does not hide what matching costs


@dataclass(frozen=True)
class Sensor:
    """Rate, stamp jitter, transport delay and its jitter, in seconds."""

    rate_hz: float
    jitter_s: float
    delay_s: float
    delay_jitter_s: float


SENSORS = {
    "camera": Sensor(29.97, 0.002, 0.015, 0.003),
    "lidar": Sensor(10.0, 0.001, 0.030, 0.005),
    "audio": Sensor(50.05, 0.0005, 0.005, 0.001),
}


def make_rig(sound: bool) -> Rig:
    """The declared side of the streams; every stream is required."""
    lens = Intrinsics(width=8, height=8, fx=8, fy=8, cx=4, cy=4)
    streams = {
        "camera": Stream(kind="camera", rate_hz=30, stamp="end", transport_ms=15, intrinsics=lens),
        "lidar": Stream(kind="lidar", rate_hz=10, stamp="end", transport_ms=30),
        "audio": Stream(kind="table", rate_hz=50, stamp="end", transport_ms=5, fields=("level",)),
    }
    if sound:
        streams["audio"] = Stream(
            kind="audio", rate_hz=50, stamp="first-sample", transport_ms=5, sample_rate_hz=AUDIO_RATE_HZ
        )
    return Rig(schema=1, anchor="lidar", budget_ms=60, streams=streams)


def make_messages(seconds: float, scenario: str, seed: int = 0) -> list[Sample]:
    """Messages in the order of their arrival."""
    draw, sound, scenario = random.Random(seed), scenario.startswith("sound"), scenario.removeprefix("sound_")
    payloads: dict[str, Payload] = {
        "camera": Image(np.zeros((8, 8, 3), np.uint8)),
        "lidar": PointCloud(np.zeros((1, 4), np.float32)),
        "audio": Reading(np.zeros(1, np.float32), ("level",)),
    }
    if sound:
        payloads["audio"] = AudioChunk(np.zeros((1, AUDIO_RATE_HZ // 50), np.float32), AUDIO_RATE_HZ)
    found = []
    for name, sensor in SENSORS.items():
        phase = draw.random() / sensor.rate_hz
        for k in range(int(seconds * sensor.rate_hz)):
            stamp_s = 100.0 + phase + k / sensor.rate_hz + draw.uniform(-sensor.jitter_s, sensor.jitter_s)
            taken_s = stamp_s + (1 / sensor.rate_hz if sound and name == "audio" else 0.0)
            arrival_s = taken_s + sensor.delay_s + draw.uniform(-sensor.delay_jitter_s, sensor.delay_jitter_s)
            if (scenario == "drop5" and draw.random() < 0.05) or (
                scenario == "outage" and name == "lidar" and stamp_s % 20.0 < 5.0
            ):
                continue
            if scenario == "late" and draw.random() < 0.02:
                arrival_s += 0.2
            if scenario.startswith("jump") and stamp_s > 100.0 + seconds / 2 and scenario in ("jump", f"jump_{name}"):
                stamp_s -= 5.0
            found.append(Sample(name, round(stamp_s * 1e9), round(arrival_s * 1e9), k, payloads[name]))
    return sorted(found, key=lambda s: s.arrival_ns)


def run(messages: list[Sample], rig: Rig) -> tuple[list[SyncedSet], float]:
    """Pushes all messages, with wake-ups at the deadlines between them; returns the sets and seconds taken."""
    sync = Synchronizer(rig, rig.streams, {"audio": WINDOW_NS})
    push, advance, next_deadline_ns = sync.push, sync.advance, sync.next_deadline_ns
    sets: list[SyncedSet] = []
    begin = time.perf_counter()
    for message in messages:
        while (due := next_deadline_ns()) is not None and due <= message.arrival_ns:
            sets += advance(due)
        sets += push(message)
    return sets, time.perf_counter() - begin


def measure(scenario: str, seconds: float, rounds: int) -> dict[str, Any]:
    """All figures of one scenario; the cost is the best of `rounds`, because other work only adds to it."""
    rig, messages = make_rig(scenario.startswith("sound")), make_messages(seconds, scenario)
    runs = [run(messages, rig) for _ in range(rounds)]
    sets = runs[0][0]
    complete = [s for s in sets if not s.missing]
    waits = [s.emitted_ns - max(x.arrival_ns for x in s.samples.values()) for s in sets if not s.predicted]
    usable = [s for s in sets if s.stamp_ns > messages[0].stamp_ns + WINDOW_NS + NS_PER_S // 5]
    return {
        "scenario": scenario,
        "messages": len(messages),
        "sets_per_s": len(sets) / seconds,
        "complete": sum(not s.missing for s in usable) / len(usable),
        "us_per_message": min(taken for _, taken in runs) / len(messages) * 1e6,
        "spread_ms": Distribution.of([s.spread_ms for s in complete]).to_json(),
        "mean_spread_ms": float(np.mean([s.spread_ms for s in complete])),
        "wait_ms": Distribution.of(waits, NS_PER_MS).to_json(),
        "mean_wait_ms": float(np.mean(waits)) / NS_PER_MS,
        "longest_gap_s": int(np.diff([s.emitted_ns for s in sets]).max()) / NS_PER_S,
    }


def main() -> None:
    """Prints one line a scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = [measure(scenario, options.seconds, options.rounds) for scenario in SCENARIOS]
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for r in results:
        print(
            f"{r['scenario']:11s} sets/s={r['sets_per_s']:5.2f} complete={r['complete']:7.2%} "
            f"us/message={r['us_per_message']:5.2f} spread ms mean={r['mean_spread_ms']:5.2f} "
            f"wait ms mean={r['mean_wait_ms']:5.2f} max={r['wait_ms']['max']:6.2f} gap s={r['longest_gap_s']:5.3f}"
        )


if __name__ == "__main__":
    main()
