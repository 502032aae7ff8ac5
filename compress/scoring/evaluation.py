"""Metrics of a model in every modality state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.samples import mask_modalities
from edge.compress.scoring.recording_counts import RecordingCounts, RecordingSums, samples_digest
from edge.compress.scoring.task import AdditiveMetric
from edge.runtime.errors import ConfigError
from edge.runtime.states import all_states

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task

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

    Args:
        run: The model.
        data: Any split; gates use `validation`, reports `test`.
        task: Gives the metric.
        states: Names as in `edge.runtime.states`; all of them by default.
        batch_size: Samples a call; 1 for a graph exported at batch 1.
        on_step: Called after each state.

    Returns:
        `{state: {metric: points}}`.

    Raises:
        ConfigError: The task has no such state.
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
    """
    known = all_states(task.modalities)
    chosen = list(known if states is None else states)
    unknown = [state for state in chosen if state not in known]
    if unknown:
        raise ConfigError(f"{unknown} are no modality states", f"choose from {', '.join(known)}")
    results: StateMetrics = {}
    by_state: dict[str, NDArray[np.float64]] = {}
    for state in chosen:
        present = torch.tensor([float(m in known[state]) for m in task.modalities])
        results[state], sums = _score(_answers(run, data, present, batch_size), data, task)
        if sums is not None:
            by_state[state] = sums.numpy()
        if on_step:
            on_step()
    return Evaluation(results, RecordingCounts(samples_digest(data), by_state) if by_state else None)


def _answers(
    run: Runner, data: SampleSet, present: Tensor, batch_size: int
) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    """Outputs and targets of each batch, in the order of the split."""
    for inputs, targets in data.batches(batch_size):
        with torch.inference_mode():
            outputs = run(*mask_modalities(inputs, present.expand(len(inputs[0]), -1)))
        yield outputs, targets


def _score(
    answers: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]], data: SampleSet, task: Task
) -> tuple[dict[str, float], Tensor | None]:
    metric = task.metric()
    if not isinstance(metric, AdditiveMetric):
        for outputs, targets in answers:
            metric.update(outputs, targets)
        return metric.result(), None
    sums = RecordingSums(data.recordings)
    for outputs, targets in answers:
        sums.add(metric.sample_counts(outputs, targets))
    return {name: float(points) for name, points in metric.points(sums.sums.sum(0)).items()}, sums.sums
