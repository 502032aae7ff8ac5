"""Figures of a stage on the recordings that a plan's search did not see: what its gate then judges by."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from edge.compress.precision_plan import PLAN_NOTE
from edge.compress.scoring.task import AdditiveMetric
from edge.compress.sensitivity.planning_split import searched_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.compress.scoring.recording_counts import RecordingCounts
    from edge.compress.scoring.task import Task
    from edge.compress.stages.measure import MeasuredStage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnseenFigures:
    """Figures of a stage on what a search did not see; what `edge.compress.gates.verdicts` judges by.

    Attributes:
        gate_metrics: `{state: {metric: points}}`.
        bytes: Size of the deployed graph file.
    """

    gate_metrics: Mapping[str, Mapping[str, float]]
    bytes: int


def unseen_by_search(
    before: MeasuredStage, after: MeasuredStage, task: Task
) -> tuple[tuple[UnseenFigures, RecordingCounts], tuple[UnseenFigures, RecordingCounts]] | None:
    """Both stages on the recordings that the later one's search did not see; None where it saw all, or none.

    None as well, with a warning, where the metric does not add up over samples: it cannot be computed of a part.
    """
    if _judged_on(after.record.notes) != "half":
        return None
    counts, metric = (before.validation_counts, after.validation_counts), task.metric()
    if counts[0] is None or counts[1] is None or not isinstance(metric, AdditiveMetric):
        logger.warning("the gate of '%s' also judges by samples that its plan was searched by", after.record.name)
        return None
    first, second = (_without_searched(found) for found in counts if found is not None)
    return (
        (UnseenFigures(_points(first, metric), before.record.bytes), first),
        (UnseenFigures(_points(second, metric), after.record.bytes), second),
    )


def _judged_on(notes: Mapping[str, Any]) -> str | None:
    samples: Mapping[str, str] = notes.get(PLAN_NOTE, {}).get("judged") or {}
    return samples.get("judged_on")


def _without_searched(counts: RecordingCounts) -> RecordingCounts:
    searched = set(searched_rows(counts.recordings))
    rows = [row for row in range(counts.recordings) if row not in searched]
    return replace(counts, by_state={state: values[rows] for state, values in counts.by_state.items()})


def _points(counts: RecordingCounts, metric: AdditiveMetric) -> dict[str, dict[str, float]]:
    sums = {state: torch.from_numpy(values).sum(0) for state, values in counts.by_state.items()}
    return {state: {name: float(p) for name, p in metric.points(total).items()} for state, total in sums.items()}
