"""Motion compensation of 120,000 points side by side: one thread, sides in turns, results compared first.

    python benchmarks/deskew.py [--rounds 60] [--out FILE.json]

The vehicle drives 15 m/s in a curve of 0.6 rad/s; its odometry comes 100 times a second. `edge` looks the motion up,
interpolates and moves every point into a new array; `edge, the kernel` only interpolates and moves. NumPy does that
by Rodrigues' formula for every point, or like ours by matrices of short slices of time. kiss-icp knows one constant
motion a sweep only, so the motion is constant here. Exit code 3 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lidar_sides import make_sweep
from peers.process import ONE_THREAD, Missing, Peer, kiss_icp
from results import write_result
from turns import take_turns, timed

from edge.runtime import _core
from edge.runtime.clock import NS_PER_S
from edge.runtime.preprocess.deskew import Deskewer
from edge.runtime.preprocess.motion import MotionHistory
from edge.runtime.rig import Deskew, Rig, Stream
from edge.runtime.sample import PointCloud, Sample, Twist

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from turns import Side

    Floats = NDArray[np.float64]

CALLS = 5
OURS = "edge"
KISS = ("kiss-icp, arrays in and out", "kiss-icp, its own vectors")
LIMIT_MS = 1.0
AGREE_M = 1e-4
PERIOD_S = 0.1
SLICES = 500
LINEAR, ANGULAR = np.array([15.0, 0.2, -0.1]), np.array([0.02, -0.03, 0.6])
LEVEL = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def main() -> int:
    """Prints a line a side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})  # read only at the start
    points, times = make_sweep(), make_times()
    sides, found = our_sides(points, times)
    peer = kiss_icp()
    if isinstance(peer, Peer):
        sides |= peer_sides(peer, points, times, found)
    apart = {name: within(name, float(np.abs(moved - found[OURS]).max())) for name, moved in found.items()}
    summary = take_turns(sides, arguments.rounds).summary(OURS, 1e-3)
    for name, row in summary.items():
        ratio = f"{row['ratio']:6.1f}x [{row['range'][0]:.1f}, {row['range'][1]:.1f}]" if "ratio" in row else ""
        print(f"{name:32s} {row['median']:8.3f} ms {ratio:22s} {1000 * apart[name]:.4f} mm apart", flush=True)
    result: dict[str, Any] = {"points": len(points), "sides": summary, "largest difference, m": apart}
    result["versions"] = {"NumPy": np.__version__} | (peer.ask("versions") if isinstance(peer, Peer) else {})
    result["missing"] = {name: str(peer) for name in KISS} if isinstance(peer, Missing) else {}
    if arguments.out:
        write_result(arguments.out, result)
    missed = summary[OURS]["median"] >= LIMIT_MS
    print(f"MISSED {LIMIT_MS} ms" if missed else f"below {LIMIT_MS} ms", *result["missing"].values(), sep="\n")
    return 3 if missed else 0


def make_times() -> NDArray[np.float32]:
    """Of `make_sweep`: 64 rings, each over the whole turn, which ends at the stamp."""
    return np.tile(np.linspace(-PERIOD_S, 0.0, 1875, dtype=np.float32), 64)


def our_sides(points: NDArray[np.float32], times: NDArray[np.float32]) -> tuple[dict[str, Side], dict[str, Floats]]:
    """Ours and NumPy's, and what they give."""
    rig = Rig(
        schema=1,
        anchor="lidar",
        streams={"lidar": Stream(kind="lidar", rate_hz=10), "odometry": Stream(kind="twist", rate_hz=100)},
        deskew=Deskew(motion="odometry"),
    )
    history = MotionHistory(rig.stream("odometry"), 2 * NS_PER_S)
    for k in range(200):
        at_ns = k * NS_PER_S // 100
        history.observe(Sample("odometry", at_ns, at_ns, k, Twist(LINEAR, ANGULAR)))
    deskewer, cloud, stamp_ns = Deskewer(rig, "lidar"), PointCloud(points, times), NS_PER_S
    motion = history.trajectory(stamp_ns, stamp_ns - 300_000_000, stamp_ns + 300_000_000)
    assert motion is not None
    identity, moved = [float(v) for v in np.ravel(LEVEL[:3])], np.empty_like(points)
    ways = {
        OURS: lambda: deskewer.run(cloud, stamp_ns, stamp_ns, history).cloud.points,
        "edge, the kernel": lambda: _kernel(motion, identity, points, times, moved),
        "NumPy, every point": lambda: by_rodrigues(points, times),
        "NumPy, by slices": lambda: by_slices(points, times),
    }
    return {n: timed(way, CALLS) for n, way in ways.items()}, {
        name: way()[:, :3].astype(np.float64) for name, way in ways.items()
    }


def _kernel(
    motion: _core.Trajectory,
    identity: list[float],
    points: NDArray[np.float32],
    times: NDArray[np.float32],
    moved: NDArray[np.float32],
) -> NDArray[np.float32]:
    outcome, _ = _core.deskew(motion, identity, 0.0, PERIOD_S, points, times, moved)
    assert outcome == 0
    return moved


def by_rodrigues(points: NDArray[np.float32], times: NDArray[np.float32]) -> NDArray[np.float32]:
    """The screw of a constant twist for each point's own time, in double precision."""
    out = points.copy()
    out[:, :3] = screwed(points[:, :3].astype(np.float64), times.astype(np.float64))
    return out


def screwed(places: Floats, times: Floats) -> Floats:
    """Places `[n, 3]` seen by the moving vehicle, each at its time `[n]`, as seen from where it is at time 0."""
    rate = float(np.linalg.norm(ANGULAR))
    axis, angle = ANGULAR / rate, rate * times[:, None]
    sine, versine = np.sin(angle), 1 - np.cos(angle)
    across = np.cross(axis, places)
    velocity, turned = LINEAR / rate, np.cross(axis, LINEAR / rate)
    shift = angle * velocity + versine * turned + (angle - sine) * np.cross(axis, turned)
    return np.asarray(places + sine * across + versine * np.cross(axis, across) + shift)


def by_slices(points: NDArray[np.float32], times: NDArray[np.float32]) -> NDArray[np.float32]:
    """Matrices at the borders of slices, mixed for each point; single precision."""
    borders = np.linspace(-PERIOD_S, 0.0, SLICES + 1)
    matrices = screws(borders).astype(np.float32)
    at = (times + np.float32(PERIOD_S)) * np.float32(SLICES / PERIOD_S)
    index = np.clip(at.astype(np.int32), 0, SLICES - 1)
    part = (at - index)[:, None, None]
    mixed = matrices[index]
    mixed += part * (matrices[index + 1] - mixed)
    out = points.copy()
    out[:, :3] = np.einsum("nij,nj->ni", mixed[:, :, :3], points[:, :3]) + mixed[:, :, 3]
    return out


def screws(times: Floats) -> Floats:
    """`[n, 3, 4]`: where the vehicle is at each time, seen from where it is at time 0."""
    origin = screwed(np.zeros((len(times), 3)), times)
    axes = [screwed(np.tile(axis, (len(times), 1)), times) - origin for axis in np.eye(3)]
    return np.stack([*axes, origin], axis=2)


def peer_sides(
    peer: Peer, points: NDArray[np.float32], times: NDArray[np.float32], found: dict[str, Floats]
) -> dict[str, Side]:
    """kiss-icp's, and what it gives: the motion from the start of the sweep to its end."""
    motion = np.linalg.inv(np.vstack([screws(np.array([-PERIOD_S]))[0], [0, 0, 0, 1]]))
    arrays = (points[:, :3].astype(np.float64), (times.astype(np.float64) + PERIOD_S) / PERIOD_S, motion)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("points", "times", "motion")]
        for path, array in zip(paths, arrays, strict=True):
            np.ascontiguousarray(array).tofile(path)
        assert peer.ask("load", *paths) == len(points)
        for name in KISS:
            shape = peer.ask("write", name, paths[0])
            found[name] = np.fromfile(paths[0]).reshape(shape)
    return {name: lambda name=name: peer.ask("time", name, CALLS) for name in KISS}


def within(name: str, apart_m: float) -> float:
    """`apart_m`, unless it is over the limit.

    Raises:
        SystemExit: The two sides do not give the same points.
    """
    if not apart_m <= AGREE_M:
        raise SystemExit(f"{name}: differs from ours by {1000 * apart_m:.3f} mm, more than {1000 * AGREE_M:g} mm")
    return apart_m


if __name__ == "__main__":
    sys.exit(main())
