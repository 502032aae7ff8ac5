"""How long a push blocks its producer while the consumer takes 50 ms a set, in real time: ROS's and ours.

    python benchmarks/producer.py [--seconds 10] [--rounds 2] [--out FILE.json]

Three producer threads push at 30, 10 and 50 Hz, and each push is timed. ROS calls its callback inside the push, under
its lock; ours hands sets to the consumer's own thread. The sides take turns.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.process import Missing, Peer, ros_cpp, ros_python
from results import write_result
from streams import MS

from edge.runtime.statistics import Distribution

if TYPE_CHECKING:
    from collections.abc import Callable

    Side = Callable[[float], list[list[float]]]

PAUSE_MS = 50
RATES_HZ = (30.0, 10.0, 50.0)
QUEUE, SLOP_NS = 10, 50 * MS


def main() -> None:
    """Prints one line a side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sides, missing = make_sides()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, run in sides.items():
            taken[name] += [us for stream in run(arguments.seconds) for us in stream]
    found = {name: Distribution.of(values).to_json() for name, values in taken.items()}
    for name, row in found.items():
        print(f"{name:12s} push us p50={row['p50']:.1f} p99={row['p99']:.1f} max={row['max']:.1f} of {row['n']}")
    if arguments.out:
        result: dict[str, Any] = {"seconds": arguments.seconds, "rounds": arguments.rounds, "push_us": found}
        write_result(arguments.out, result | {"missing": missing})


def make_sides() -> tuple[dict[str, Side], dict[str, str]]:
    """Those that run here, and how to install the others."""
    sides: dict[str, Side] = {}
    missing = {}
    for name, worker, bounds in (("ROS C++", ros_cpp(), (0, 0, 0)), ("ROS Python", ros_python(), ())):
        if isinstance(worker, Missing):
            missing[name] = str(worker)
            print(f"{name}: {worker}")
        else:
            sides[name] = ros_side(worker, bounds)
    return sides, missing


def ros_side(peer: Peer, bounds: tuple[int, ...]) -> Side:
    """Its own threads in its own process."""
    return lambda seconds: peer.ask("blocked", QUEUE, SLOP_NS, *bounds, PAUSE_MS, seconds, *RATES_HZ)


if __name__ == "__main__":
    main()
