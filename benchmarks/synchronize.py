"""The synchronization policies of the C++ core on recorded and simulated streams, against what they must reach.

    python benchmarks/synchronize.py [--seconds 600] [--rounds 7] [--kitti FOLDER] [--json FILE]

`driver` streams are those that ROS's message_filters was measured on: camera 29.97 Hz, lidar 10 Hz, audio
50.05 Hz, free-running, with stamp jitter and transport delays. `kitti` streams run at 9.66 Hz, the camera 10.5 ms
behind the lidar, with chunks of sound of which each set names a window of one second. `drive 0009` are real stamps,
of which four lidar sweeps are missing (needs --kitti or ../shared/data/kitti_timestamps).

us: the policy alone, no payload, no wake, the fastest of the rounds. wait: emission minus the arrival of the set's
last message, so what the algorithm adds; sets led by a silent anchor's predicted ticks are left out, for they wait
for the anchor. gap: longest silence. complete: sets in which every stream is fresh, once the first window is full.
back: how long after a clock's step the last incomplete set was. Exit code 3 where a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.synchronize.messages import MatchedSet
from edge.runtime.synchronize.policies import Anchored, Exact, Latest, Messages, Optimal, Policy, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

S, MS = 1_000_000_000, 1_000_000
START_NS = 100 * S
KITTI = Path(__file__).resolve().parents[2] / "shared" / "data" / "kitti_timestamps"
BUDGET_NS = 60 * MS


@dataclass(frozen=True)
class Sensor:
    """Rate, stamp jitter, transport delay and its jitter (s), and how long a message is."""

    hz: float
    jitter_s: float
    delay_s: float
    delay_jitter_s: float
    duration_ns: int = 0
    lag_s: float | None = None  # behind the lidar; None: any phase


@dataclass(frozen=True)
class Rig:
    """Sensors (camera, lidar, audio) and what is declared of them; the lidar is the anchor."""

    sensors: tuple[Sensor, Sensor, Sensor]
    specs: tuple[StreamSpec, ...]

    @property
    def period_ns(self) -> int:
        """The anchor's period."""
        return self.specs[1].period_ns


NAMES = ("camera", "lidar", "audio")
DRIVER = Rig(
    (Sensor(29.97, 2e-3, 15e-3, 3e-3), Sensor(10.0, 1e-3, 30e-3, 5e-3), Sensor(50.05, 5e-4, 5e-3, 1e-3)),
    (
        StreamSpec(S // 30, "hold", 150 * MS),
        StreamSpec(S // 10, "hold", 250 * MS),
        StreamSpec(S // 50, "hold", 100 * MS),
    ),
)
KITTI_RIG = Rig(
    (
        Sensor(9.661, 1e-4, 15e-3, 3e-3, lag_s=10.5e-3),
        Sensor(9.661, 1e-4, 81.7e-3, 5e-3, lag_s=0.0),  # stamped in mid-sweep: half a period, then 30 ms
        Sensor(50.0, 5e-4, 25e-3, 1e-3, duration_ns=20 * MS),
    ),
    (
        StreamSpec(round(S / 9.661), "hold", 250 * MS),
        StreamSpec(round(S / 9.661), "hold", 250 * MS),
        StreamSpec(20 * MS, "hold", 100 * MS, window_ns=S),
    ),
)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and with whom (None: all streams)."""

    kind: str = "none"  # none | drop | dead | outage | late | offset | step
    stream: int | None = None
    by_s: float = 0.0

    def applies(self, stream: int) -> bool:
        """Whether the fault is this stream's."""
        return self.stream is None or self.stream == stream


def scenarios() -> dict[str, Fault]:
    """By name; those of the reference driver, and each sensor dead and each clock stepped."""
    faults = {
        "nominal": Fault(),
        "drop5": Fault("drop", None, 0.05),
        "late": Fault("late", None, 0.02),
        "offset": Fault("offset", 2, 0.12),
    }
    for stream, name in enumerate(NAMES):
        faults[f"outage {name}"] = Fault("outage", stream)
        faults[f"dead {name}"] = Fault("dead", stream)
    for by in (-5.0, 5.0):
        faults[f"step all {by:+.0f} s"] = Fault("step", None, by)
        for stream, name in enumerate(NAMES):
            faults[f"step {name} {by:+.0f} s"] = Fault("step", stream, by)
    return faults


def make_messages(rig: Rig, seconds: float, fault: Fault, seed: int = 0) -> Messages:
    """Messages in the order of their arrival; steps and deaths come half way."""
    draw = random.Random(seed)
    rows = []
    for stream, sensor in enumerate(rig.sensors):
        phase = draw.random() / sensor.hz if sensor.lag_s is None else sensor.lag_s
        for k in range(int(seconds * sensor.hz)):
            true = 100.0 + phase + k / sensor.hz + draw.uniform(-sensor.jitter_s, sensor.jitter_s)
            arrival = true + sensor.delay_s + draw.uniform(-sensor.delay_jitter_s, sensor.delay_jitter_s)
            moved = disturb(fault, stream, true, arrival, 100.0 + seconds / 2, draw)
            if moved is not None:
                rows.append((round(moved[1] * S), stream, round(moved[0] * S), sensor.duration_ns))
    return as_messages(rows)


def disturb(
    fault: Fault, stream: int, stamp: float, arrival: float, half: float, draw: random.Random
) -> tuple[float, float] | None:
    """Stamp and arrival under a fault; None where the message is lost."""
    if not fault.applies(stream):
        return stamp, arrival
    lost = {
        "drop": lambda: draw.random() < fault.by_s,
        "outage": lambda: stamp % 20.0 < 5.0,
        "dead": lambda: stamp > half,
    }
    if fault.kind in lost:
        return None if lost[fault.kind]() else (stamp, arrival)
    if fault.kind == "late" and draw.random() < fault.by_s:
        arrival += 0.2
    if fault.kind == "offset" or (fault.kind == "step" and stamp > half):
        stamp += fault.by_s
    return stamp, arrival


def as_messages(rows: list[tuple[int, int, int, int]]) -> Messages:
    """From (arrival, stream, stamp, duration)."""
    rows.sort()
    columns = np.array(rows, np.int64).T
    return Messages(*(np.ascontiguousarray(columns[i]) for i in (1, 2, 0, 3)))


def drive_0009(folder: Path) -> Messages:
    """Real camera and lidar stamps of KITTI's drive 0009; chunks of sound on the same axis are made up."""
    draw, rows = random.Random(0), []
    for stream, name in ((0, "image_02"), (1, "velodyne_points")):
        sensor = KITTI_RIG.sensors[stream]
        for line in (folder / f"2011_09_26_drive_0009_{name}_ns.txt").read_text().split():
            delay = sensor.delay_s + draw.uniform(-sensor.delay_jitter_s, sensor.delay_jitter_s)
            rows.append((int(line) + round(delay * S), stream, int(line), 0))
    first, last = min(row[2] for row in rows), max(row[2] for row in rows)
    for stamp in range(first, last, 20 * MS):
        rows.append((stamp + 25 * MS + draw.randrange(MS), 2, stamp, 20 * MS))
    return as_messages(rows)


@dataclass(frozen=True)
class Row:
    """One line of the table; milliseconds unless said."""

    streams: str
    scenario: str
    policy: str
    us: float
    sets_per_s: float
    complete: float  # %
    spread_mean: float
    spread_p99: float
    wait_mean: float
    wait_p99: float
    wait_max: float
    gap: float
    back: float
    missed: tuple[str, ...] = ()


Make = dict[str, "Callable[[Rig], Policy]"]
POLICIES: Make = {
    "anchored": lambda rig: Anchored(rig.specs, 1, budget_ns=BUDGET_NS),
    "optimal": lambda rig: Optimal(_no_windows(rig), 1),
    "optimal, bounds": lambda rig: Optimal(_no_windows(rig), 1, lower_bounds_ns=[29 * MS, 97 * MS, 18 * MS]),
    "latest": lambda rig: Latest(_no_windows(rig), 1),
    "exact": lambda rig: Exact(_no_windows(rig)),
}


def _no_windows(rig: Rig) -> list[StreamSpec]:
    return [replace(spec, window_ns=0) for spec in rig.specs]


def measure(names: tuple[str, str, str], rig: Rig, messages: Messages, fault: Fault, rounds: int) -> Row:
    """Times and replays one policy on one recording."""
    make = POLICIES[names[2]]
    count = len(messages.streams)
    us = min(make(rig).timed_replay(messages)[0] for _ in range(rounds)) / count * 1e6
    sets = make(rig).replay(messages)
    warm = [s for s in sets if s.emitted_ns > messages.arrivals_ns[0] + 1.2 * S]  # a window of sound is full
    waits = [w for s in sets if not s.predicted and (w := wait_of(s, messages.arrivals_ns)) is not None] or [0.0]
    spreads = [s.spread_ns / MS for s in warm if s.complete] or [0.0]
    marks = [int(messages.arrivals_ns[0]), *(s.emitted_ns for s in sets), int(messages.arrivals_ns[-1])]
    row = Row(
        *names,
        us,
        len(sets) / ((marks[-1] - marks[0]) / S),
        100.0 * sum(s.complete for s in warm) / max(len(warm), 1),
        float(np.mean(spreads)),
        float(np.quantile(spreads, 0.99)),
        float(np.mean(waits)),
        float(np.quantile(waits, 0.99)),
        max(waits),
        max(b - a for a, b in pairwise(marks)) / MS,
        time_back(warm, fault, messages),
    )
    return replace(row, missed=tuple(missed(row, rig, fault)))


def wait_of(one: MatchedSet, arrivals_ns: np.ndarray) -> float | None:
    """What the algorithm added, in ms; None for a set of nothing."""
    handles = [member.handles[-1] for member in one.members if member.handles]
    return (one.emitted_ns - max(int(arrivals_ns[h]) for h in handles)) / MS if handles else None


def time_back(sets: list[MatchedSet], fault: Fault, messages: Messages) -> float:
    """From a clock's step to the last incomplete set in the five seconds after it, in ms."""
    if fault.kind != "step":
        return 0.0
    half = (int(messages.arrivals_ns[0]) + int(messages.arrivals_ns[-1])) // 2
    after = [s.emitted_ns for s in sets if not s.complete and s.emitted_ns > half - S]
    return (max(after) - half) / MS if after else 0.0


def missed(row: Row, rig: Rig, fault: Fault) -> list[str]:
    """The bounds that the default policy does not keep; the others have none but speed."""
    bounds = {"us a message": row.us <= 0.5}
    if row.policy == "anchored":
        bounds["wait over budget"] = row.wait_max <= BUDGET_NS / MS + 1e-6
        bounds["silence"] = row.gap <= 2 * rig.period_ns / MS + 20
        if fault.kind == "none" and row.streams != "drive 0009":
            bounds["mean wait"] = row.wait_mean <= 0.1
            bounds["completeness"] = row.complete == 100.0
        if fault.kind == "step":
            bounds["silence at a step"] = row.gap <= 200
            bounds["complete again within 1 s"] = row.back <= 1000
    return [name for name, kept in bounds.items() if not kept]


def show(row: Row) -> None:
    """One line."""
    print(
        f"{row.streams:10s} {row.scenario:17s} {row.policy:15s} us={row.us:5.3f} sets/s={row.sets_per_s:5.2f} "
        f"complete={row.complete:6.2f}% spread={row.spread_mean:5.2f}/{row.spread_p99:5.2f} "
        f"wait={row.wait_mean:5.2f}/{row.wait_p99:5.2f}/{row.wait_max:5.2f} gap={row.gap:7.1f} "
        f"back={row.back:4.0f} "
        f"{'MISSED ' + ', '.join(row.missed) if row.missed else 'ok'}",
        flush=True,
    )


def main() -> int:
    """Measures everything and prints one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kitti", type=Path, default=KITTI)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for streams, rig in (("driver", DRIVER), ("kitti", KITTI_RIG)):
        for scenario, fault in scenarios().items():
            messages = make_messages(rig, arguments.seconds, fault)
            for policy in POLICIES if scenario == "nominal" and rig is DRIVER else ("anchored",):
                rows.append(measure((streams, scenario, policy), rig, messages, fault, arguments.rounds))
                show(rows[-1])
    if arguments.kitti.is_dir():
        messages = drive_0009(arguments.kitti)
        rows.append(measure(("drive 0009", "as recorded", "anchored"), KITTI_RIG, messages, Fault(), arguments.rounds))
        show(rows[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 3 if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
