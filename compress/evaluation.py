"""Metrics of a model in every modality state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from edge.compress.samples import mask_modalities
from edge.runtime.errors import ConfigError
from edge.runtime.states import all_states

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.task import Task

# Positional inputs with `present` last -> output tensors. A module, an ONNX session, a compiled engine.
Runner = Callable[..., Sequence["Tensor"]]
StateMetrics = dict[str, dict[str, float]]


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
    known = all_states(task.modalities)
    chosen = list(known if states is None else states)
    unknown = [state for state in chosen if state not in known]
    if unknown:
        raise ConfigError(f"{unknown} are no modality states", f"choose from {', '.join(known)}")
    results: StateMetrics = {}
    for state in chosen:
        present = torch.tensor([float(m in known[state]) for m in task.modalities])
        metric = task.metric()
        with torch.inference_mode():
            for inputs, targets in data.batches(batch_size):
                masked = mask_modalities(inputs, present.expand(len(inputs[0]), -1))
                metric.update(run(*masked), targets)
        results[state] = metric.result()
        if on_step:
            on_step()
    return results
