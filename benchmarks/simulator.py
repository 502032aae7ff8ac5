"""What the street simulator costs, in milliseconds of one core: a frame, a sweep, a second of sound, an example.

    python benchmarks/simulator.py [--streets 60] [--out FILE.json]

Each number is the median over as many streets, and the range from the 10th to the 90th percentile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from results import write_result

from edge.runtime.simulate.example import draw_example
from edge.runtime.simulate.labels import label
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.sensors import sensors_of
from edge.runtime.simulate.street import Street, StreetConfig

GRID, WINDOW = (8, 26), 16_000
# What training and playing in real time allow, in milliseconds.
BUDGET_MS = {"camera": 4.0, "lidar": 3.0, "audio, 1 s": 1.5, "audio, 20 ms": 0.5, "labels": 3.0, "example": 10.0}


def _milliseconds(work: Callable[[int], object], streets: int) -> dict[str, float]:
    work(0)
    spent = []
    for seed in range(1, streets + 1):
        start = time.process_time()
        work(seed)
        spent.append(1000 * (time.process_time() - start))
    low, middle, high = np.percentile(spent, [10, 50, 90])
    return {"p10": round(low, 3), "median": round(middle, 3), "p90": round(high, 3)}


def measure(streets: int) -> dict[str, dict[str, float]]:
    """Costs by part."""
    rig, config = street_rig(), StreetConfig()
    sensors = sensors_of(rig)
    drives = [Street(seed, config) for seed in range(streets + 1)]
    scenes = [drive.snapshot_at(20.0) for drive in drives]
    microphone = sensors.microphone
    work: dict[str, Callable[[int], object]] = {
        "camera": lambda i: sensors.camera.render(scenes[i]),
        "lidar": lambda i: sensors.lidar.sweep(scenes[i]),
        "audio, 1 s": lambda i: microphone.window(drives[i], 20.0, WINDOW),
        "audio, 20 ms": lambda i: microphone.window(drives[i], 20.0, 320),
        "labels": lambda i: label(sensors, drives[i], 20.0, GRID, WINDOW),
        "example": lambda i: draw_example(i, config, rig, GRID, WINDOW),
    }
    return {name: {**_milliseconds(job, streets), "budget": BUDGET_MS[name]} for name, job in work.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streets", type=int, default=60)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    costs = measure(arguments.streets)
    if arguments.out:
        write_result(arguments.out, {"ms": costs})
    print(f"{'ms on one core':<14}{'p10':>8}{'median':>8}{'p90':>8}{'budget':>8}")
    for name, cost in costs.items():
        print(f"{name:<14}" + "".join(f"{cost[key]:>8.2f}" for key in ("p10", "median", "p90", "budget")))


if __name__ == "__main__":
    main()
