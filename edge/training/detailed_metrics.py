"""What a score hides: classes one by one and the reliability of confidences, in every modality state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from edge.compress.scoring.evaluation import measurable_states, state_answers
from edge.runtime.model_io import EventOutput, GridOutput
from edge.runtime.states import all_states
from edge.training.class_scores import ClassScores, Confusion, confusion_of, scores_of_answers, scores_of_counts
from edge.training.metrics import GridF1
from edge.training.reliability import Reliability, measure_reliability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.scoring.evaluation import Runner
    from edge.training.fusion_task import FusionTask

METRICS_FILE = "metrics.json"
TOP_LABEL = "top label"
BACKGROUND = "background"


class OutputMetrics(BaseModel):
    """One output in one modality state.

    Attributes:
        classes: In the order of io.yaml; a grid's count cells, and a hit needs the distance right as well.
        confusion: Of the classes; of a grid, of all cells by class alone. Events have none: they do not exclude each
            other.
        reliability: Of the top label, of a grid's in cells where an object is or is said to be; or of each event.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: tuple[ClassScores, ...]
    confusion: Confusion | None
    reliability: tuple[Reliability, ...]


class DetailedMetrics(BaseModel):
    """`metrics.json` of a checkpoint.

    Attributes:
        split: That was scored.
        samples: In it.
        states: By modality state and output tensor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    split: str
    samples: int
    states: dict[str, dict[str, OutputMetrics]]


def detail_metrics(
    run: Runner,
    data: SampleSet,
    task: FusionTask,
    batch_size: int = 64,
    on_step: Callable[[], None] | None = None,
) -> DetailedMetrics:
    """Runs a split once per modality state that it has samples for.

    Args:
        run: The model.
        data: Any split.
        task: Its outputs.
        batch_size: Samples a call.
        on_step: Called after each state.

    Raises:
        DataError: An output is NaN.
        MissingDependencyError: scikit-learn is absent.
    """
    states: dict[str, dict[str, OutputMetrics]] = {}
    known = all_states(task.modalities)
    for state in measurable_states(data, task.modalities):
        present = torch.tensor([float(m in known[state]) for m in task.modalities])
        pairs = list(state_answers(run, data, present, batch_size))
        outputs = [torch.cat(column) for column in zip(*(given for given, _ in pairs), strict=True)]
        targets = [torch.cat(column) for column in zip(*(wanted for _, wanted in pairs), strict=True)]
        states[state] = {
            output.tensor: _output_metrics(output, given, wanted)
            for output, given, wanted in task.split(outputs, targets)
        }
        if on_step:
            on_step()
    return DetailedMetrics(schema=1, split=data.split, samples=len(data), states=states)


def _output_metrics(output: Any, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> OutputMetrics:
    if isinstance(output, GridOutput):
        return _grid_metrics(output, outputs, targets)
    if isinstance(output, EventOutput):
        return _event_metrics(output, outputs[0], targets[0])
    probabilities = outputs[0].float().softmax(1).numpy()
    predicted, actual = probabilities.argmax(1), targets[0].numpy()
    return OutputMetrics(
        classes=scores_of_answers(output.classes, actual, predicted),
        confusion=confusion_of(output.classes, actual, predicted),
        reliability=(measure_reliability(TOP_LABEL, probabilities.max(1), predicted == actual),),
    )


def _event_metrics(output: EventOutput, logits: Tensor, events: Tensor) -> OutputMetrics:
    """At the decoder's threshold."""
    probabilities, actual = logits.float().sigmoid().numpy(), (events > 0.5).numpy()
    predicted = (logits.float().sigmoid() >= output.threshold).numpy()
    return OutputMetrics(
        classes=_event_scores(output.classes, actual, predicted),
        confusion=None,
        reliability=tuple(
            measure_reliability(name, probabilities[:, i], actual[:, i]) for i, name in enumerate(output.classes)
        ),
    )


def _event_scores(names: Sequence[str], actual: Any, predicted: Any) -> tuple[ClassScores, ...]:
    if len(names) > 1:
        return scores_of_answers(names, actual, predicted)
    # scikit-learn takes one column for two classes that exclude each other.
    both = scores_of_answers(("absent", *names), actual[:, 0].astype(np.int64), predicted[:, 0].astype(np.int64))
    return both[1:]


def _grid_metrics(output: GridOutput, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> OutputMetrics:
    """As `GridF1` counts, at the decoder's threshold."""
    counts = GridF1(output).sample_counts(outputs, targets).sum(0).unflatten(0, (3, -1)).tolist()
    probabilities = outputs[0].float().softmax(1)
    best, index = probabilities[:, 1:].max(1)
    said = torch.where(best >= output.threshold, index + 1, 0).flatten()
    top, label = (values.flatten() for values in probabilities.max(1))
    actual = targets[0].flatten()
    regarded = (actual > 0) | (label > 0)
    right = (label == actual)[regarded].numpy()
    measured = (measure_reliability(TOP_LABEL, top[regarded].numpy(), right),) if len(right) else ()
    return OutputMetrics(
        classes=scores_of_counts(output.classes, *counts),
        confusion=confusion_of((BACKGROUND, *output.classes), actual.numpy(), said.numpy()),
        reliability=measured,
    )
