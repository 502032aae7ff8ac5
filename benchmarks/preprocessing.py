"""Preprocessing side by side with the peers on the same work: one thread, sides in turns, results compared first.

    python benchmarks/preprocessing.py [--rounds 60] [--out FILE.json]

NumPy's temporaries are large, and what the C library's allocator does with them decides its speed. So all is measured
twice: with the allocator as it comes, where each call may get fresh pages from the kernel, and with one told to keep
its pages, the best case for NumPy. The targets are for the first. The allocator also learns from what a process freed
before, so each comparison has a process of its own. Ours writes into a buffer of its own, as a pipeline would.
Exit code 3 where a target is missed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import image_sides
import lidar_sides
import numpy as np
import sound_sides
from peers.process import ONE_THREAD, Missing, Peer, sound_features
from results import write_result
from turns import take_turns, timed

if TYPE_CHECKING:
    from turns import Side

CALLS = 5
OURS = "edge"
AS_IT_COMES, KEEPS_PAGES = "as it comes", "keeps its pages"
SLOW = ("lidar, other ways",)
TARGETS = {
    "lidar": {"NumPy": 15.0},
    "sound": {"librosa": 5.0, "kaldi-native-fbank": 3.0},
    "image": {"cv2 + NumPy": 1.5},
}


def main() -> int:
    """Prints a line a side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--comparison", nargs=2, metavar=("NAME", "ALLOCATOR"), help="only this one, as JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.comparison:
        print(json.dumps(compare(*arguments.comparison, arguments.rounds)))
        return 0
    peer = sound_features()
    result: dict[str, Any] = {"difference": check(peer), "parts": [], "versions": {"cv2": cv2.__version__}}
    result["versions"] |= {"NumPy": np.__version__} | (peer.ask("versions") if isinstance(peer, Peer) else {})
    result["missing"] = {name: str(peer) for name in sound_sides.PEERS} if isinstance(peer, Missing) else {}
    for allocator in (AS_IT_COMES, KEEPS_PAGES):
        for name in COMPARISONS:
            result["parts"].append(show(in_own_process(name, allocator, arguments.rounds)))
    missed = [f"{part['part']}: {line}" for part in result["parts"] for line in part["missed"]]
    if arguments.out:
        write_result(arguments.out, result)
    print("\n".join(f"MISSED {line}" for line in missed) or "every target is reached")
    return 3 if missed else 0


def in_own_process(name: str, allocator: str, rounds: int) -> dict[str, Any]:
    """One comparison; NumPy reads how many threads it may use when it starts."""
    own = max(rounds // 4, 2) if name in SLOW else rounds
    command = [sys.executable, __file__, "--rounds", str(own), "--comparison", name, allocator]
    output = subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, Any] = json.loads(output)
    return found


def compare(name: str, allocator: str, rounds: int) -> dict[str, Any]:
    """All sides of a comparison, and which targets are missed.

    Raises:
        SystemExit: The C library's allocator cannot be told to keep its pages.
    """
    if allocator == KEEPS_PAGES and not keep_pages():
        raise SystemExit("the C library cannot be told to keep its pages")
    summary = take_turns(COMPARISONS[name](allocator), rounds).summary(OURS, 1e-3)
    targets = TARGETS.get(name, {}) if allocator == AS_IT_COMES else {}
    missed = [
        f"{side} {summary[side]['ratio']:.2f}x of {least:g}x"
        for side, least in targets.items()
        if side in summary and summary[side]["ratio"] < least
    ]
    return {"part": name, "allocator": allocator, "sides": summary, "missed": missed}


def show(part: dict[str, Any]) -> dict[str, Any]:
    """Prints a line a side and returns the part."""
    for name, row in part["sides"].items():
        ratio = f"{row['ratio']:5.1f}x [{row['range'][0]:.1f}, {row['range'][1]:.1f}]" if "ratio" in row else ""
        print(f"{part['part']:18s} {part['allocator']:16s} {name:32s} {row['median']:8.3f} ms {ratio}", flush=True)
    return part


def check(peer: Peer | Missing) -> dict[str, Any]:
    """Compares results.

    Raises:
        SystemExit: Two sides do not give the same.
    """
    sweep, frame, window = lidar_sides.make_sweep(), image_sides.make_frame(), sound_sides.make_window()
    view, image = lidar_sides.ours(sweep)(), image_sides.ours(frame)()
    # A point on the very edge of a cell may fall to either side of it.
    found: dict[str, Any] = {"share of the view's values that differ by more than 1e-5": {}}
    for name, make in (("NumPy", lidar_sides.by_numpy), ("cv2.projectPoints + NumPy", lidar_sides.by_opencv)):
        share = float((np.abs(view - make(sweep)) > 1e-5).mean())
        found["share of the view's values that differ by more than 1e-5"][name] = within(name, share, 1e-5)
    apart = image_sides.levels_apart(image, image_sides.by_opencv(frame))
    found["largest difference in levels of 0..255"] = {"cv2 + NumPy": within("cv2 + NumPy", apart, 1.0 + 1e-3)}
    ours = sound_sides.mel_power(sound_sides.ours(window)())
    powers = {"NumPy": sound_sides.mel_power(sound_sides.by_numpy(window)())}
    if isinstance(peer, Peer):
        sound_sides.load(peer, window)
        powers |= {name: sound_sides.peer_power(peer, name) for name in sound_sides.PEERS}
    relative = {name: within(name, float(np.abs(ours / power - 1).max()), 1e-4) for name, power in powers.items()}
    found["largest relative difference of mel power"] = relative
    return found


def within(name: str, value: float, limit: float) -> float:
    """`value`, unless it is over the limit."""
    if not value <= limit:
        raise SystemExit(f"{name}: differs from ours by {value:g}, more than {limit:g}")
    return value


def lidar(_: str) -> dict[str, Side]:
    """A sweep into the camera's view."""
    sweep = lidar_sides.make_sweep()
    return {OURS: timed(lidar_sides.ours(sweep), CALLS), "NumPy": timed(lambda: lidar_sides.by_numpy(sweep), CALLS)}


def lidar_otherwise(_: str) -> dict[str, Side]:
    """What else people use."""
    sweep = lidar_sides.make_sweep()
    ways = {
        "cv2.projectPoints + NumPy": lidar_sides.by_opencv,
        "cv2.projectPoints, pixels only": lidar_sides.opencv_pixels,
        "lidar-bonnetal's range image": lidar_sides.by_range_image,
    }
    sides = {name: timed(lambda way=way: way(sweep), CALLS) for name, way in ways.items()}
    return {OURS: timed(lidar_sides.ours(sweep), CALLS), **sides}


def image(_: str) -> dict[str, Side]:
    """A frame to a tensor."""
    frame = image_sides.make_frame()
    return {
        OURS: timed(image_sides.ours(frame), CALLS),
        "cv2 + NumPy": timed(lambda: image_sides.by_opencv(frame), CALLS),
        "cv2.dnn.blobFromImage + NumPy": timed(lambda: image_sides.by_blob(frame), CALLS),
    }


def sound(allocator: str) -> dict[str, Side]:
    """A second of sound to log-mel; the peers keep their pages as we do."""
    window, peer = sound_sides.make_window(), sound_features()
    sides = {OURS: timed(sound_sides.ours(window), CALLS), "NumPy": timed(sound_sides.by_numpy(window), CALLS)}
    if isinstance(peer, Missing):
        return sides
    if allocator == KEEPS_PAGES and not peer.ask("keep"):
        raise SystemExit("the C library cannot be told to keep its pages")
    sound_sides.load(peer, window)
    return sides | {name: lambda name=name: peer.ask("time", name, CALLS) for name in sound_sides.PEERS}


COMPARISONS = {"lidar": lidar, "lidar, other ways": lidar_otherwise, "image": image, "sound": sound}


def keep_pages() -> bool:
    """Tells the allocator to give nothing back to the kernel; False where the C library has no such setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3
    return mallopt is not None and bool(mallopt(trim_threshold, 1 << 30)) and bool(mallopt(mmap_threshold, 1 << 25))


if __name__ == "__main__":
    sys.exit(main())
