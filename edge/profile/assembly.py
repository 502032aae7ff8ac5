"""Puts a profile together from what a scenario took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.profile.contents import Profile
from edge.profile.distributions import SHARES, dependence_notes, measured_ms
from edge.runtime.clock import NS_PER_S
from edge.runtime.environment import describe_host
from edge.runtime.statistics import minimum_samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge.profile.contents import LayerTime, Scenario, Span
    from edge.profile.sample_rule import SamplingConfig
    from edge.profile.subjects.timed import TimedSubject
    from edge.profile.surroundings import Surroundings
    from edge.profile.timed_loop import Warmth

LAYER_ROUNDS = 30


def profile_of(
    timed: TimedSubject,
    scenario: Scenario,
    rule: SamplingConfig,
    durations_ns: NDArray[np.int64],
    elapsed_ns: int,
    around: Surroundings,
    warmth: Warmth,
    *,
    at_once: int | None = None,
    stages_ns: Mapping[str, NDArray[np.int64]] | None = None,
    spans: Sequence[Span] = (),
    layers: Sequence[LayerTime] = (),
    notes: Sequence[str] = (),
) -> Profile:
    """A profile of `single` or `offline`.

    Args:
        timed: What was timed.
        scenario: How.
        rule: What was asked for.
        durations_ns: `[n]`, in the order in which they were taken.
        elapsed_ns: Time that they took together.
        around: The machine, left by now.
        warmth: How it was warmed up.
        at_once: Samples at a time; the subject's batch where it is not given.
        stages_ns: Durations by stage.
        spans: For the timeline.
        layers: Of another pass.
        notes: Of the scenario.
    """
    results = len(durations_ns) * timed.batch
    settled = () if warmth.stable else (f"Durations had not settled after {warmth.calls} calls of warm-up.",)
    return Profile(
        subject=timed.subject,
        scenario=scenario,
        source=timed.source,
        batch=timed.batch if at_once is None else at_once,
        seed=rule.seed,
        warm_up_calls=warmth.calls,
        stable=warmth.stable,
        latency_ms=measured_ms(durations_ns),
        stages_ms={name: measured_ms(taken) for name, taken in (stages_ns or {}).items()},
        throughput_hz=results * NS_PER_S / elapsed_ns,
        layers=tuple(layers),
        memory_peak_mib=around.memory_peak_mib,
        energy=around.energy(results),
        before=around.before,
        after=around.after,
        environment=describe_host(rule.seed),
        spans=tuple(spans),
        notes=(
            *timed.notes,
            *notes,
            *settled,
            *_unsupported(len(durations_ns)),
            *dependence_notes(durations_ns),
            *around.notes,
        ),
    )


def layers_of(timed: TimedSubject, rounds: int) -> tuple[LayerTime, ...]:
    """Times the layers, where they are wanted."""
    return timed.layers(rounds) if rounds else ()


def _unsupported(n: int) -> tuple[str, ...]:
    missing = [f"{name} {minimum_samples(share):,}" for name, share in SHARES.items() if n < minimum_samples(share)]
    return (f"Left out for want of samples, of which there are {n:,}: {', '.join(missing)} needed.",) if missing else ()
