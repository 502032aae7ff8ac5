"""Scenario `single`: one inference after the other, each waited for, as a robot that looks and then acts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.profile.assembly import LAYER_ROUNDS, layers_of, profile_of
from edge.profile.contents import STAGES, Span
from edge.profile.surroundings import Surroundings
from edge.profile.timed_loop import WARM_UP, take_samples, warmed
from edge.runtime.statistics import WarmUp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edge.profile.contents import Profile
    from edge.profile.sample_rule import SamplingConfig
    from edge.profile.subjects.timed import TimedSubject
    from edge.profile.timed_loop import TimedSamples
    from edge.runtime.statistics.timing import NanosecondClock

SHOWN_SAMPLES = 50
_NS_PER_US = 1e3


def profile_single(
    timed: TimedSubject,
    rule: SamplingConfig,
    *,
    layer_rounds: int = LAYER_ROUNDS,
    warm_up: WarmUp = WARM_UP,
    clock: NanosecondClock = time.perf_counter_ns,
    on_samples: Callable[[int], None] | None = None,
) -> Profile:
    """Times a subject by itself.

    Args:
        timed: What, with its inputs.
        rule: When it is over.
        layer_rounds: Inferences that layers are the mean of, in another pass; 0 leaves them out.
        warm_up: When it counts as warm.
        clock: Gives nanoseconds.
        on_samples: Called now and then with the samples taken so far.

    Raises:
        ConfigError: Fewer samples than the percentile asked for needs.
        EdgeError: The subject fails.
    """
    rule.check_possible()
    around = Surroundings(timed.threads)
    warmth = warmed(timed.run, warm_up, clock)
    with around:
        taken = take_samples(timed.run, rule, clock=clock, on_chunk=on_samples)
    rule.check_taken(len(taken.durations_ns))
    stages = timed.stages_ns(len(taken.durations_ns))
    return profile_of(
        timed,
        "single",
        rule,
        taken.durations_ns,
        taken.elapsed_ns,
        around,
        warmth,
        stages_ns=stages,
        spans=_first_spans(taken, stages),
        layers=layers_of(timed, layer_rounds),
    )


def _first_spans(taken: TimedSamples, stages: Mapping[str, NDArray[np.int64]]) -> tuple[Span, ...]:
    """The first samples one behind the other; of a road each stage, in the order in which they follow."""
    shown = min(SHOWN_SAMPLES, len(taken.starts_ns))
    spans = []
    for number in range(shown):
        at = int(taken.starts_ns[number] - taken.starts_ns[0])
        parts = [(name, int(stages[name][number])) for name in STAGES if name in stages]
        for name, duration in parts or [("engine", int(taken.durations_ns[number]))]:
            spans.append(
                Span(
                    track="samples",
                    name=name,
                    start_us=at / _NS_PER_US,
                    duration_us=duration / _NS_PER_US,
                    number=number,
                )
            )
            at += duration
    return tuple(spans)
