"""What counts as a miss at one rate, and what is full where one happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.profile.load.contents import Saturation
from edge.runtime.trace.spans import TAKE, WALL_STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.profile.load.config import LoadConfig
    from edge.profile.load.contents import StepFigures

FULL = 1.0
_MS_PER_S = 1e3
# Ages that grow by so much of the anchor's period within a step are of a queue that grows.
_GROWTH = 0.5
_STAGE_OF = {"producer": "push", "matching": "matching", "cores": "cores"}


def misses_of(figures: StepFigures, config: LoadConfig) -> Iterator[str]:
    """Why a rate is not sustained, a line each; nothing where it is."""
    allowed = config.tolerated * figures.sets
    for count, what in (
        (figures.overruns, f"of {figures.sets} sets gave way to the next"),
        (figures.deadline_misses, f"of {figures.sets} sets reached their deadline incomplete"),
        (figures.untrue, f"of {figures.sets} sets gave a result that is blind or predicted"),
        (figures.starved, "samples were lost before they were matched"),
    ):
        if count > allowed:
            yield f"{count} {what}"
    if not figures.sets:
        yield "no set was matched"
    if figures.delivered_hz is None or figures.delivered_hz < (1 - config.slower) * figures.asked_hz:
        yield f"sensors came at {_hz(figures.delivered_hz)} of {_hz(figures.asked_hz)}"
    slowest = (1 - config.slower) * (1 - config.tolerated) * figures.asked_hz
    if figures.results_hz is None or figures.results_hz < slowest:
        yield f"results came at {_hz(figures.results_hz)} of {_hz(figures.asked_hz)}"
    if figures.age_growth_ms is not None and figures.age_growth_ms > _GROWTH * _MS_PER_S / figures.asked_hz:
        yield f"the age of results grew by {figures.age_growth_ms:.1f} ms"


def saturation_of(figures: StepFigures) -> Saturation | None:
    """The resource that is nearest to its limit or beyond, and the longest stage of it; None where nothing is told."""
    if not figures.utilisation:
        return None
    resource = max(figures.utilisation, key=lambda name: figures.utilisation[name])
    used = figures.utilisation[resource]
    stages = {name: figures.stages_ms[name] for name in (TAKE, *WALL_STAGES) if name in figures.stages_ms}
    longest = max(stages, key=lambda name: stages[name]) if stages else "inference"
    return Saturation(resource=resource, stage=_STAGE_OF.get(resource, longest), utilisation=used, is_full=used >= FULL)


def _hz(rate: float | None) -> str:
    return "an unknown rate" if rate is None else f"{rate:.4g} Hz"
