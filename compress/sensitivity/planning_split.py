"""The validation samples that a plan is searched by, and those that are left for the gate to judge it by."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge.compress.precision_plan import PLAN_NOTE
from edge.compress.scoring.task import AdditiveMetric
from edge.compress.sensitivity.verified_plan import PlanningSamples
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.recording_counts import RecordingCounts
    from edge.compress.scoring.task import Task
    from edge.compress.sensitivity.config import JudgedOn
    from edge.compress.stages.measure import MeasuredStage

logger = logging.getLogger(__name__)
_SEED = 0  # of which recordings the search sees: always the same ones, or a replay would be judged by others


@dataclass(frozen=True)
class UnseenFigures:
    """Figures of a stage on what a search did not see; what `edge.compress.gates.verdicts` judges by.

    Attributes:
        gate_metrics: `{state: {metric: points}}`.
        bytes: Size of the deployed graph file.
    """

    gate_metrics: Mapping[str, Mapping[str, float]]
    bytes: int


def planning_samples(validation: SampleSet, judged_on: JudgedOn) -> tuple[SampleSet, PlanningSamples]:
    """What a search may look at, and what is noted of it.

    Args:
        validation: The whole split.
        judged_on: All of it, or half of its recordings with all of their samples.

    Raises:
        DataError: It has a single recording, which cannot be halved.
    """
    names = list(dict.fromkeys(validation.recordings))
    if judged_on == "half":
        if len(names) < 2:
            raise DataError(
                f"the {validation.split} split has one recording, '{names[0]}', and a plan is to be searched by half "
                "of them",
                "record more, or set search.judged_on: validation, so that the gate sees what the search saw",
            )
        names = [names[row] for row in _searched_rows(len(names))]
    seen = set(names)
    rows = [row for row, recording in enumerate(validation.recordings) if recording in seen]
    noted = PlanningSamples(judged_on=judged_on, recordings=len(names), samples=len(rows))
    return validation.subset(rows), noted


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


def _searched_rows(recordings: int) -> list[int]:
    """Which recordings a search sees, by their place in the order of first samples: half of them, rounded down."""
    drawn = np.random.default_rng(_SEED).permutation(recordings)[: recordings // 2]
    return sorted(drawn.tolist())


def _judged_on(notes: Mapping[str, Any]) -> str | None:
    samples: Mapping[str, str] = notes.get(PLAN_NOTE, {}).get("judged") or {}
    return samples.get("judged_on")


def _without_searched(counts: RecordingCounts) -> RecordingCounts:
    searched = set(_searched_rows(counts.recordings))
    rows = [row for row in range(counts.recordings) if row not in searched]
    return replace(counts, by_state={state: values[rows] for state, values in counts.by_state.items()})


def _points(counts: RecordingCounts, metric: AdditiveMetric) -> dict[str, dict[str, float]]:
    sums = {state: torch.from_numpy(values).sum(0) for state, values in counts.by_state.items()}
    return {state: {name: float(p) for name, p in metric.points(total).items()} for state, total in sums.items()}
