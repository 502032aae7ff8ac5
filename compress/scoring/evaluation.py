"""Metrics of a model in every modality state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.scoring.recording_counts import RecordingCounts, RecordingSums, samples_digest
from edge.compress.scoring.task import AdditiveMetric
from edge.runtime.errors import ConfigError, DataError
from edge.runtime.states import all_states

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task

logger = logging.getLogger(__name__)
# Positional inputs with `present` last -> output tensors. A module, an ONNX session, a compiled engine.
Runner = Callable[..., Sequence["Tensor"]]
StateMetrics = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model on a split.

    Attributes:
        metrics: `{state: {metric: points}}`.
        counts: What they were computed from, by recording; None where the task's metric is no `AdditiveMetric`.
    """

    metrics: StateMetrics
    counts: RecordingCounts | None


def evaluate(
    run: Runner,
    data: SampleSet,
    task: Task,
    states: Iterable[str] | None = None,
    batch_size: int = 64,
    on_step: Callable[[], None] | None = None,
) -> StateMetrics:
    """Runs `data` once per state, with the state's missing modalities zeroed and marked absent.

    A state's metrics are over the samples that have any of its modalities; what else a sample lacks, it lacks there.

    Args:
        run: The model.
        data: Any split; gates use `validation`, reports `test`.
        task: Gives the metric.
        states: Names as in `edge.runtime.states`; all that there are samples for by default.
        batch_size: Samples a call; 1 for a graph exported at batch 1.
        on_step: Called after each state.

    Returns:
        `{state: {metric: points}}`.

    Raises:
        ConfigError: The task has no such state.
        DataError: No sample has any of a state's modalities.
    """
    return evaluate_by_recording(run, data, task, states, batch_size, on_step).metrics


def evaluate_by_recording(
    run: Runner,
    data: SampleSet,
    task: Task,
    states: Iterable[str] | None = None,
    batch_size: int = 64,
    on_step: Callable[[], None] | None = None,
) -> Evaluation:
    """The same, with what the metrics were computed from.

    Raises:
        ConfigError: The task has no such state.
        DataError: No sample has any of a state's modalities.
    """
    known = all_states(task.modalities)
    chosen = list(measurable_states(data, task.modalities) if states is None else states)
    unknown = [state for state in chosen if state not in known]
    if unknown:
        raise ConfigError(f"{unknown} are no modality states", f"choose from {', '.join(known)}")
    results: StateMetrics = {}
    by_state: dict[str, NDArray[np.float64]] = {}
    for state in chosen:
        present = torch.tensor([float(m in known[state]) for m in task.modalities])
        rows = data.having(present)
        if not len(rows):
            raise DataError(
                f"no sample of the '{data.split}' split has anything of the state '{state}'",
                "add samples that have, or leave the state out",
            )
        results[state], sums = _score(state_answers(run, data, present, batch_size), data, rows, task)
        if sums is not None:
            by_state[state] = sums.numpy()
        if on_step:
            on_step()
    return Evaluation(results, RecordingCounts(samples_digest(data), by_state) if by_state else None)


def measurable_states(data: SampleSet, modalities: Sequence[str]) -> tuple[str, ...]:
    """The states that any sample of a split has something of; the others are logged."""
    states = all_states(modalities)
    found = tuple(
        state
        for state, there in states.items()
        if len(data.having(torch.tensor([float(m in there) for m in modalities])))
    )
    if len(found) < len(states):
        absent = ", ".join(state for state in states if state not in found)
        logger.warning("the '%s' split has no sample for %s: not scored", data.split, absent)
    return found


def state_answers(
    run: Runner, data: SampleSet, present: Tensor, batch_size: int
) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    """Outputs and targets of each batch in a state, in the order of the split.

    Samples that have none of its modalities are left out: the rows are those of `data.having(present)`.

    Args:
        run: The model.
        data: Any split.
        present: float32 `[modalities]` of 0 and 1: the state.
        batch_size: Samples a call.
    """
    for rows in data.having(present).split(batch_size):
        inputs = data.masked(rows, present.expand(len(rows), -1))
        with torch.inference_mode():
            outputs = run(*inputs)
        yield outputs, tuple(target[rows] for target in data.targets)


def _score(
    answers: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]], data: SampleSet, rows: Tensor, task: Task
) -> tuple[dict[str, float], Tensor | None]:
    metric = task.metric()
    if not isinstance(metric, AdditiveMetric):
        for outputs, targets in answers:
            metric.update(outputs, targets)
        return metric.result(), None
    sums = RecordingSums(data.recordings, rows)
    for outputs, targets in answers:
        sums.add(metric.sample_counts(outputs, targets))
    return {name: float(points) for name, points in metric.points(sums.sums.sum(0)).items()}, sums.sums
