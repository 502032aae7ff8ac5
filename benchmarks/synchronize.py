"""Synchronization side by side with the peers, and against what ours must reach.

    python benchmarks/synchronize.py [--seconds 300] [--rounds 15] [--out FILE.json] [--recorded-out FILE.json]

`driver` streams: camera 29.97 Hz, lidar 10 Hz, audio 50.05 Hz, free-running, with stamp jitter and transport delays of
15, 30 and 5 ms. `kitti` streams: camera and lidar at 9.66 Hz, the camera 10.5 ms behind, chunks of sound at 50 Hz;
against the peers all are matched one by one, and ours once more with a window of one second of sound in each set.
Where ../shared/data/kitti_timestamps lies beside the checkout, the stamps of KITTI's drive 0009 follow; figures from
that recording are printed and go to --recorded-out only.

Cost: the policy alone, no payload, no wake, sides in turns. Wait: emission minus the arrival of the set's last message,
so what the algorithm adds; sets led by a silent anchor's predicted tick wait for the anchor and are left out.
Exit code 3 where a bound is missed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matching import Quality, combine, judge
from peers.process import Missing
from results import write_result
from streams import KITTI, MS, RECORDED, RIGS, Fault, Recording, Rig, drive_0009, record, scenarios
from synchronizers import BUDGET_NS, OURS, PYTHON, FromPython, Ours, Synchronizer, anchored, peers
from turns import Turns, take_turns

TIMED_SECONDS = 120.0
STEPS = 5
TIMED = (("driver", "nominal"), ("driver", "lidar out 5 s of 20 s"), ("kitti", "nominal"))


def main() -> int:
    """Measures everything, prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--recorded-out", type=Path)
    arguments = parser.parse_args()
    sides: dict[str, Synchronizer] = {name: Ours(make) for name, make in OURS.items()}
    sides[PYTHON] = FromPython(anchored)
    missing, versions = add_peers(sides)
    result = measure(sides, arguments.seconds, arguments.rounds)
    result |= {"missing": missing, "versions": versions}
    if arguments.out:
        write_result(arguments.out, result)
    missed = [f"{row['streams']}, {row['scenario']}: {name}" for row in result["rows"] for name in row["missed"]]
    missed += [f"cost, {row['streams']}, {row['scenario']}: {name}" for row in result["cost"] for name in row["missed"]]
    if RECORDED.is_dir():
        recorded = [show(row) for row in compare("drive 0009", "as recorded", [drive_0009(RECORDED)], KITTI, sides)]
        missed += [f"drive 0009: {name}" for row in recorded for name in row["missed"]]
        if arguments.recorded_out:
            write_result(arguments.recorded_out, {"rows": recorded, "missing": missing, "versions": versions})
    else:
        print(f"drive 0009: not measured, there is no {RECORDED.name} beside the checkout")
    print("\n".join(f"MISSED {line}" for line in missed) or "every bound is kept")
    return 3 if missed else 0


def add_peers(sides: dict[str, Synchronizer]) -> tuple[dict[str, str], dict[str, str]]:
    """Adds those that run here; returns how to install the others, and versions."""
    missing, versions = {}, {}
    for name, worker, make in peers():
        if isinstance(worker, Missing):
            missing[name] = str(worker)
            print(f"{name}: {worker}")
        else:
            sides[name] = make(worker)
            versions |= worker.ask("versions")
    return missing, versions


def measure(sides: dict[str, Synchronizer], seconds: float, rounds: int) -> dict[str, Any]:
    """Cost of all sides, then quality in all scenarios."""
    cost = [cost_of(*names, sides, rounds) for names in TIMED]
    rows, default = [], {"edge": sides["edge"]}
    for streams, rig in RIGS.items():
        for scenario, fault in scenarios().items():
            recordings = record_all(rig, seconds, fault)
            rows += [show(row) for row in compare(streams, scenario, recordings, rig, sides)]
            if rig is KITTI:
                rows += [show(row) for row in compare("kitti, windows", scenario, recordings, rig, default)]
    return {"seconds": seconds, "cost": cost, "rows": rows}


def record_all(rig: Rig, seconds: float, fault: Fault) -> list[Recording]:
    """One recording; of a clock's step several, for what comes of it depends on when it comes."""
    if fault.kind != "step":
        return [record(rig, seconds, fault)]
    return [record(rig, seconds / STEPS, fault, seed) for seed in range(STEPS)]


def cost_of(streams: str, scenario: str, sides: dict[str, Synchronizer], rounds: int) -> dict[str, Any]:
    """Microseconds a message of all sides, in turns."""
    rig = RIGS[streams].one_by_one
    recording = record(rig, TIMED_SECONDS, scenarios()[scenario])
    for side in sides.values():
        side.load(recording, rig)
    turns: Turns = take_turns({name: side.play for name, side in sides.items()}, rounds)
    found = turns.summary("edge", 1e-6)
    for name, row in found.items():
        ratio = f"{row['ratio']:.1f}x [{row['range'][0]:.1f}, {row['range'][1]:.1f}]" if "ratio" in row else ""
        print(f"{streams:8s} {scenario:22s} {name:25s} {row['median']:8.3f} us a message {ratio}", flush=True)
    slow = [name for name in OURS if found[name]["median"] > 0.5]
    return {
        "streams": streams,
        "scenario": scenario,
        "sides": found,
        "missed": [f"{name} over 0.5 us" for name in slow],
    }


def compare(
    streams: str, scenario: str, recordings: list[Recording], rig: Rig, sides: dict[str, Synchronizer]
) -> list[dict[str, Any]]:
    """One row a side; latest, exact and the Python loop give nothing new here."""
    rows = []
    used = rig if streams in ("kitti, windows", "drive 0009") else rig.one_by_one
    for name, side in sides.items():
        if name in ("edge, latest", "edge, exact", PYTHON):
            continue
        found = []
        for recording in recordings:
            side.load(recording, used)
            found.append(judge(side.record(), recording, rig.period_ns))
        quality = combine(found)
        missed = missed_by_ours(quality, streams, rig, recordings[0].fault) if name == "edge" else []
        rows.append({"streams": streams, "scenario": scenario, "side": name, **asdict(quality), "missed": missed})
    return rows


def missed_by_ours(found: Quality, streams: str, rig: Rig, fault: Fault) -> list[str]:
    """The bounds that the default policy does not keep."""
    bounds = {
        "wait over budget": found.wait_max <= BUDGET_NS / MS + 1e-6,
        "silence": found.silence <= 2 * rig.period_ns / MS + 20,
    }
    if fault.kind == "none" and streams != "drive 0009":
        bounds |= {"mean wait": found.wait_mean <= 0.1, "completeness": found.complete == 100.0}
    if fault.kind == "step":
        bounds["silence at a step"] = found.silence <= 200
        bounds["complete again within 1 s"] = found.back is not None and found.back <= 1000
    return [name for name, kept in bounds.items() if not kept]


def show(row: dict[str, Any]) -> dict[str, Any]:
    """Prints one line and returns its row."""
    back = "never" if row["back"] is None else f"{row['back']:4.0f}"
    print(
        f"{row['streams']:14s} {row['scenario']:22s} {row['side']:21s} sets/s={row['sets_per_s']:5.2f} "
        f"complete/s={row['complete_per_s']:5.2f} wait={row['wait_mean']:5.2f}/{row['wait_p99']:6.2f}/"
        f"{row['wait_max']:6.2f} spread={row['spread_mean']:5.2f}/{row['spread_p99']:5.2f} "
        f"silence={row['silence']:8.1f} back={back} "
        f"{'MISSED ' + ', '.join(row['missed']) if row['missed'] else ''}",
        flush=True,
    )
    return row


if __name__ == "__main__":
    sys.exit(main())
