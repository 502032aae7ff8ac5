"""The search itself: rates rise by a factor until one misses, then the limit is bisected between."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edge.profile.load.contents import LoadStep
from edge.profile.load.verdict import misses_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.profile.load.config import LoadConfig
    from edge.profile.load.contents import StepFigures


class Found(NamedTuple):
    """Where a search ended.

    Attributes:
        steps: In the order in which they ran.
        sustained: The step with the highest rate that missed nothing below all that did; None where the first missed.
        missed: The one with the lowest rate that missed; None where the highest rate of all was sustained.
    """

    steps: tuple[LoadStep, ...]
    sustained: LoadStep | None
    missed: LoadStep | None


def find_limit(
    measure: Callable[[float], StepFigures],
    config: LoadConfig,
    on_step: Callable[[LoadStep], None] = lambda _step: None,
) -> Found:
    """Searches the highest rate that is sustained; that rates above a missed one are missed too is taken for granted.

    Args:
        measure: Runs one step at so many times the rig's rates.
        config: Start, growth, end and resolution.
        on_step: Called after each.
    """
    steps: list[LoadStep] = []

    def run(factor: float) -> LoadStep:
        for _ in range(1 + config.repeats):
            figures = measure(factor)
            step = LoadStep(figures=figures, misses=tuple(misses_of(figures, config)))
            steps.append(step)
            on_step(step)
            if not step.misses:
                break
        return step

    sustained, missed = _rise(run, config)
    while sustained and missed and missed.figures.factor > (1 + config.resolution) * sustained.figures.factor:
        step = run(math.sqrt(sustained.figures.factor * missed.figures.factor))
        sustained, missed = (sustained, step) if step.misses else (step, missed)
    return Found(tuple(steps), sustained, missed)


def _rise(run: Callable[[float], LoadStep], config: LoadConfig) -> tuple[LoadStep | None, LoadStep | None]:
    """The last step that missed nothing, and the first that did."""
    sustained: LoadStep | None = None
    factor = config.start
    while True:
        step = run(factor)
        if step.misses:
            return sustained, step
        sustained = step
        if factor >= config.most:
            return sustained, None
        factor = min(factor * config.growth, config.most)
