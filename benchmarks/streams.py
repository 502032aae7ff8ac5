"""Streams to synchronize, made up or recorded: which sensors, what goes wrong with them, and the truth about each."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.runtime.synchronize.policies import Messages, StreamSpec

S, MS = 1_000_000_000, 1_000_000
START_S = 100.0
NAMES = ("camera", "lidar", "audio")
ANCHOR = 1
RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data" / "kitti_timestamps"


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
    """Sensors (camera, lidar, audio), what is declared of them, and bounds on their rates for ROS; lidar is anchor."""

    sensors: tuple[Sensor, Sensor, Sensor]
    specs: tuple[StreamSpec, ...]
    lower_bounds_ns: tuple[int, int, int]

    @property
    def period_ns(self) -> int:
        """The anchor's period."""
        return self.specs[ANCHOR].period_ns

    @property
    def one_by_one(self) -> Rig:
        """The same with sound matched chunk by chunk, as the peers do, and not as a window."""
        return replace(self, specs=tuple(replace(spec, window_ns=0) for spec in self.specs))


DRIVER = Rig(
    (Sensor(29.97, 2e-3, 15e-3, 3e-3), Sensor(10.0, 1e-3, 30e-3, 5e-3), Sensor(50.05, 5e-4, 5e-3, 1e-3)),
    (
        StreamSpec(S // 30, "hold", 150 * MS),
        StreamSpec(S // 10, "hold", 250 * MS),
        StreamSpec(S // 50, "hold", 100 * MS),
    ),
    (29 * MS, 97 * MS, 18 * MS),
)
KITTI = Rig(
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
    (100 * MS, 100 * MS, 18 * MS),
)
RIGS = {"driver": DRIVER, "kitti": KITTI}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and with whom (None: all streams)."""

    kind: str = "none"  # none | drop | dead | outage | late | offset | step
    stream: int | None = None
    by_s: float = 0.0

    def applies(self, stream: int) -> bool:
        """Whether the fault is this stream's."""
        return self.stream is None or self.stream == stream


@dataclass(frozen=True, eq=False)
class Recording:
    """Messages in the order of their arrival, when each was measured in truth, and the fault that was put in."""

    messages: Messages
    true_ns: NDArray[np.int64]
    fault: Fault = Fault()

    @property
    def middle_ns(self) -> int:
        """Arrival time half way: steps and deaths come there."""
        arrivals = self.messages.arrivals_ns
        return (int(arrivals[0]) + int(arrivals[-1])) // 2


def scenarios() -> dict[str, Fault]:
    """By name; each sensor out and dead, each clock stepped, and what happens to all."""
    faults = {
        "nominal": Fault(),
        "5 % lost": Fault("drop", None, 0.05),
        "2 % 200 ms late": Fault("late", None, 0.02),
        "audio clock +120 ms": Fault("offset", 2, 0.12),
    }
    for stream, name in enumerate(NAMES):
        faults[f"{name} out 5 s of 20 s"] = Fault("outage", stream)
        faults[f"{name} dead"] = Fault("dead", stream)
    for by in (-5.0, 5.0):
        faults[f"all clocks {by:+.0f} s"] = Fault("step", None, by)
        for stream, name in enumerate(NAMES):
            faults[f"{name} clock {by:+.0f} s"] = Fault("step", stream, by)
    return faults


def record(rig: Rig, seconds: float, fault: Fault, seed: int = 0) -> Recording:
    """Draws the messages of a rig under a fault."""
    draw, half, rows = random.Random(seed), START_S + seconds / 2, []
    for stream, sensor in enumerate(rig.sensors):
        phase = draw.random() / sensor.hz if sensor.lag_s is None else sensor.lag_s
        for k in range(int(seconds * sensor.hz)):
            true = START_S + phase + k / sensor.hz + draw.uniform(-sensor.jitter_s, sensor.jitter_s)
            arrival = true + sensor.delay_s + draw.uniform(-sensor.delay_jitter_s, sensor.delay_jitter_s)
            moved = disturb(fault, stream, true, arrival, half, draw)
            if moved is not None:
                rows.append((round(moved[1] * S), stream, round(moved[0] * S), sensor.duration_ns, round(true * S)))
    return _in_order(rows, fault)


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


def drive_0009(folder: Path) -> Recording:
    """Real camera and lidar stamps of KITTI's drive 0009; chunks of sound on the same axis are made up."""
    draw, rows = random.Random(0), []
    for stream, name in ((0, "image_02"), (1, "velodyne_points")):
        sensor = KITTI.sensors[stream]
        for line in (folder / f"2011_09_26_drive_0009_{name}_ns.txt").read_text().split():
            delay = sensor.delay_s + draw.uniform(-sensor.delay_jitter_s, sensor.delay_jitter_s)
            rows.append((int(line) + round(delay * S), stream, int(line), 0, int(line)))
    first, last = min(row[2] for row in rows), max(row[2] for row in rows)
    for stamp in range(first, last, 20 * MS):
        rows.append((stamp + 25 * MS + draw.randrange(MS), 2, stamp, 20 * MS, stamp))
    return _in_order(rows, Fault())


def _in_order(rows: list[tuple[int, int, int, int, int]], fault: Fault) -> Recording:
    rows.sort()
    columns = [np.ascontiguousarray(column) for column in np.array(rows, np.int64).T]
    return Recording(Messages(columns[1], columns[2], columns[0], columns[3]), columns[4], fault)
