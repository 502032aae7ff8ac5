"""Models and samples whose faults are known, because they were put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge.compress.samples import SampleSet
from edge.explain.coalitions import collect_answers
from edge.explain.recording_draws import RecordingDraws
from edge.runtime.model_io import ModelIO
from edge.training.fusion_task import FusionTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.explain.coalitions import Answers

CLASSES = ("no", "yes")


def table_io(streams: Mapping[str, int], classes: Sequence[str] = CLASSES) -> ModelIO:
    """Tables of so many fields each, and one of several classes."""
    inputs: list[dict[str, Any]] = [
        {
            "feature": "tensor",
            "tensor": stream,
            "stream": stream,
            "shape": [1, count],
            "fields": [f"{stream}{at}" for at in range(count)],
            "mean": [0.0] * count,
            "std": [1.0] * count,
        }
        for stream, count in streams.items()
    ]
    present = {"feature": "present", "streams": list(streams)}
    outputs = [{"decoder": "softmax", "tensor": "answer", "classes": list(classes)}]
    return ModelIO.model_validate({"schema": 1, "inputs": [*inputs, present], "outputs": outputs})


def sample_set(
    inputs: Sequence[Tensor],
    labels: Tensor,
    recordings: Sequence[str] | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    split: str = "test",
    available: Tensor | None = None,
) -> SampleSet:
    """One recording a sample where none are given."""
    ids = tuple(f"{split}-{at}" for at in range(len(labels)))
    named = {name: tuple(values) for name, values in (attributes or {}).items()}
    return SampleSet(split, ids, tuple(recordings or ids), tuple(inputs), (labels,), available, named)


def answering(
    wrong: NDArray[np.bool_],
    labels: NDArray[np.int64],
    recordings: Sequence[str] | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    sure: float = 3.0,
) -> tuple[SampleSet, Answers, ModelIO]:
    """A model of one modality that is wrong where it is told to be: its input is its logits."""
    said = np.where(wrong, 1 - labels, labels)
    logits = torch.from_numpy(sure * np.eye(2)[said]).float()
    model_io = table_io({"told": 2})
    data = sample_set([logits], torch.from_numpy(labels), recordings, attributes)
    task = FusionTask(model_io)
    answers = collect_answers(lambda told, present: (told,), data, task, model_io, batch_size=4096)
    return data, answers, model_io


def draws_of(data: SampleSet, resamples: int = 400, seed: int = 0) -> RecordingDraws:
    return RecordingDraws(data.recordings, resamples, seed, 0.95)
