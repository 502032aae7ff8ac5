"""What the figures of a soak must be, and why those bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edge.runtime.clock import NS_PER_MS
from edge.runtime.fusion import sound_windows_ns
from edge.runtime.simulate.rig import street_rig
from edge.runtime.synchronize.live import LEAST_RING, RING_S, LiveSynchronizer
from tests.soak.fault_schedule import KINDS
from tests.soak.vital_signs import growth_by_life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.model_io import ModelIO

# Two periods of the anchor and 20 ms is what the synchronizer promises where threads run when they are ready to. What
# they wait for a CPU is measured and taken off; 50 ms are for what that does not show: the interpreter's lock, which
# three threads hand on, at most 5 ms each time, to one another and to four producers.
SILENCE_MS = 2 * street_rig().stream("lidar").period_ns / NS_PER_MS + 20
ALLOWANCE_MS = 50.0
# Resident memory goes up and down by some MiB as frames pile up in bursts and the allocator keeps what they left: over
# five minutes without a leak its slope has a standard error of 0.35 MiB/min, and the bound is three of these.
RSS_SLOPE_MIB_PER_MIN, RSS_GROWTH_MIB = 1.0, 8.0
# Shorter runs are still warming up; their memory is told, not judged.
SHORTEST_S = 600.0
# What is allocated between two lives is the same but for caches, so this finds leaks that are thirty times smaller.
LIFE_LEAVES_BYTES, LIFE_LEAVES_BLOCKS = 16_384, 100
FEWEST_LIVES = 10
# Arrays in a payload; `odometry` is copied into a history and let go of, but for what is being pushed.
_ARRAYS = {"camera": 1, "lidar": 2, "audio": 1}
_MOST_MOTION = 16
_OURS = ("edge.runtime.live.callbacks:ERROR", "edge.runtime.live.engine_guard:ERROR")


def problems_of(figures: dict[str, Any], model_io: ModelIO) -> list[str]:
    """Everything that is not as it must be; nothing where all is well."""
    return [
        *_idle(figures),
        *_raised(figures),
        *_silences(figures),
        *_left_behind(figures),
        *_memory(figures),
        *_queues(figures, model_io),
    ]


def _idle(figures: dict[str, Any]) -> Iterator[str]:
    """A soak in which nothing happened proves nothing."""
    expected = figures["seconds"] * street_rig().stream("lidar").rate_hz
    if figures["results"] < 0.5 * expected:
        yield f"{figures['results']} results, {expected:.0f} were to come"
    if figures["valid"] < 0.3 * figures["results"]:
        yield f"only {figures['valid']} results are valid"
    if figures["iterated"] < 0.9 * figures["results"] or figures["called"] < 0.9 * figures["results"]:
        yield "results did not reach the user"
    for kind in KINDS:
        if not figures["faults"].get(kind):
            yield f"no sample was hit by {kind}"
    for reason in ("callback:error", "engine:failed"):
        if not figures["unusual"].get(reason):
            yield f"there was no {reason}"


def _raised(figures: dict[str, Any]) -> Iterator[str]:
    yield from figures["errors"]
    yield from (f"uncaught: {error}" for error in figures["uncaught"])
    for name, count in figures["logged"].items():
        if not name.endswith(":WARNING") and name not in _OURS:
            yield f"{name} was logged {count} times"
    if figures["raised"] != figures["unusual"].get("callback:error"):
        yield "calls that raised were not counted as such"


def _silences(figures: dict[str, Any]) -> Iterator[str]:
    if figures["stamps_back"]:
        yield f"the stamps of {figures['stamps_back']} results did not go on"
    for gap in figures["own_gaps"]:
        if gap["own_ms"] > SILENCE_MS + ALLOWANCE_MS:
            yield f"silence: {gap}"


def _left_behind(figures: dict[str, Any]) -> Iterator[str]:
    for what in ("descriptors", "threads"):
        counts = figures["at_rest"][what]
        if len(set(counts)) > 1:
            yield f"{what} after each life: {counts}"


def _memory(figures: dict[str, Any]) -> Iterator[str]:
    growth, slope = figures["rss_mib"]["end"] - figures["rss_mib"]["warm"], figures["rss_mib"]["slope_per_min"]
    if figures["seconds"] >= SHORTEST_S and growth > RSS_GROWTH_MIB:
        yield f"resident memory grew by {growth:.1f} MiB since it was warm"
    if figures["seconds"] >= SHORTEST_S and slope > RSS_SLOPE_MIB_PER_MIN:
        yield f"resident memory grows by {slope:.2f} MiB/min"
    for what, most in (("native_bytes", LIFE_LEAVES_BYTES), ("python_blocks", LIFE_LEAVES_BLOCKS)):
        values = figures["at_rest"][what]
        if len(values) >= FEWEST_LIVES and None not in values and (left := growth_by_life(values)) > most:
            yield f"each life leaves {left:.0f} {what}"


def _queues(figures: dict[str, Any], model_io: ModelIO) -> Iterator[str]:
    rig = street_rig()
    for name, most in figures["high_water"].items():
        room = max(LEAST_RING, RING_S * rig.stream(name.removeprefix("ring:")).rate_hz)
        if most > 2 ** math.ceil(math.log2(room)):
            yield f"{name} held {most}"
    planned = LiveSynchronizer.memory(rig, tuple(_ARRAYS), sound_windows_ns(model_io)).frames
    for name, most in figures["payloads"]["most"].items():
        allowed = planned[name] * _ARRAYS[name] if name in planned else _MOST_MOTION
        if most > allowed:
            yield f"{most} arrays of {name} were alive, {allowed} are planned"
