"""Two profiles of different times: medians compared by their intervals, once the machine was in the same state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge.profile.comparison.in_turns import subject_title
from edge.profile.comparison.verdict import ComparisonConfig, ComparisonReport, judge, width_notes
from edge.runtime.errors import ConfigError, GateError
from edge.runtime.machine_state.differences import changes_during, differences_of

if TYPE_CHECKING:
    from edge.profile.contents import Measured, Profile

_APART = "They were not timed in turns: what changed on the machine between them is in the ratio, and in no interval."
# What decides speed and does not stand in a machine's state.
_SOFTWARE = ("onnxruntime", "onnxruntime-gpu", "torch", "tensorrt", "edge-fusion")


def compare_profiles(a: Profile, b: Profile, config: ComparisonConfig) -> ComparisonReport:
    """How many times as long B's median is as A's.

    The interval of the ratio comes from those of both medians by the method of variance estimates recovery, on the
    logarithms (Zou and Donner, Statistics in Medicine 27, 2008, equation 8).

    Raises:
        ConfigError: They are of different scenarios, or one has no interval of its median.
        GateError: The machine was in another state, and `strict` is set.
    """
    _check_same_scenario(a, b)
    apart = state_differences(a, b)
    if apart and config.strict:
        raise GateError(
            f"the profiles were taken in different states: {'; '.join(apart)}", "repeat one in the state of the other"
        )
    ratio, interval = median_ratio(a.latency_ms, b.latency_ms)
    return ComparisonReport(
        a=subject_title(a.subject),
        b=subject_title(b.subject),
        ratio=ratio,
        interval=interval,
        verdict=judge(interval, config.tolerance),
        tolerance=config.tolerance,
        interleaved=False,
        differences=apart,
        details={
            "a_ms": a.latency_ms.distribution.to_json(),
            "b_ms": b.latency_ms.distribution.to_json(),
            "subjects": {"a": a.subject.model_dump(), "b": b.subject.model_dump()},
        },
        notes=(_APART, *width_notes(interval, config.tolerance, "--compare of both models would narrow it")),
    )


def median_ratio(a: Measured, b: Measured) -> tuple[float, tuple[float, float]]:
    """Median of B over that of A, and its 95 % interval.

    Raises:
        ConfigError: One has too few samples for an interval, or took no measurable time.
    """
    sides = []
    for name, side in (("A", a), ("B", b)):
        middle, bounds = side.distribution.p50, side.intervals.get("p50")
        if middle is None or bounds is None or bounds[0] <= 0:
            raise ConfigError(
                f"the profile of {name} has no interval of its median ({side.distribution.n} samples)",
                "take more --samples",
            )
        sides.append((math.log(middle), math.log(bounds[0]), math.log(bounds[1])))
    (a_middle, a_low, a_high), (b_middle, b_low, b_high) = sides
    ratio = b_middle - a_middle
    low = ratio - math.hypot(b_middle - b_low, a_high - a_middle)
    high = ratio + math.hypot(b_high - b_middle, a_middle - a_low)
    return math.exp(ratio), (math.exp(low), math.exp(high))


def state_differences(a: Profile, b: Profile) -> tuple[str, ...]:
    """In what the machines differed: their state, what happened to it meanwhile, processor and software."""
    found = [one.sentence for one in differences_of(a.before, b.before)]
    for name, side in (("A", a), ("B", b)):
        found += [f"during {name}: {one.sentence}" for one in changes_during(side.before, side.after)]
    if a.environment.cpu != b.environment.cpu:
        found.append(f"processor: {a.environment.cpu} against {b.environment.cpu}")
    for package in _SOFTWARE:
        versions = [side.environment.packages.get(package, "none") for side in (a, b)]
        if versions[0] != versions[1]:
            found.append(f"{package}: {versions[0]} against {versions[1]}")
    return tuple(found)


def _check_same_scenario(a: Profile, b: Profile) -> None:
    for what, one, other in (("scenario", a.scenario, b.scenario), ("batch", a.batch, b.batch)):
        if one != other:
            raise ConfigError(
                f"the profiles differ in their {what}: {one} and {other}", f"profile both with the same --{what}"
            )
