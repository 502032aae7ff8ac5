"""Pretrains the encoders of a fusion model in place."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict

from edge.compress.distill.history import LossHistory, PartsRecorder
from edge.compress.fitting import fit
from edge.models.encoders.adapters import adapted
from edge.training.pretraining.objective import PretrainingModel

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.fitting import Augment, OnStep
    from edge.compress.samples import SampleSet
    from edge.models.fusion_model import FusionModel
    from edge.runtime.model_io import ModelIO
    from edge.training.pretraining.config import PretrainConfig

PRETRAINING_NOTE = "pretraining"  # of the teacher's record


class PretrainingRecord(BaseModel):
    """What pretraining did.

    Attributes:
        config: That it followed.
        samples: Without labels, in the split that it saw.
        recordings: That they are from.
        history: Of the loss's weighted parts: a stream's name for its reconstruction, `a ~ b` for an alignment.
        seconds: Wall time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: dict[str, object]
    samples: int
    recordings: int
    history: LossHistory
    seconds: float

    def notes(self) -> dict[str, object]:
        """What the teacher's record keeps: the first and the last epoch's losses, and how long it took."""
        return {
            "config": self.config,
            "samples": self.samples,
            "recordings": self.recordings,
            "loss_parts": self.history.notes(),
            "seconds": self.seconds,
        }


def pretrain(
    model: FusionModel,
    model_io: ModelIO,
    data: SampleSet,
    config: PretrainConfig,
    augment: Augment | None = None,
    on_step: OnStep | None = None,
) -> PretrainingRecord:
    """Trains the encoders of `model` in place, without labels; fusion and heads stay as they are.

    Args:
        model: Freshly built, or from anywhere.
        model_io: The tensors that it reads.
        data: The training split; its targets are taken away first.
        config: What is learned, and for how long.
        augment: Varies each batch's samples.
        on_step: For progress bars.

    Raises:
        ConfigError: The config does not fit the model.
        DataError: The data is not a training split, or smaller than a batch.
        ModelError: The loss became NaN or infinite.
    """
    started = time.monotonic()
    unlabelled = replace(data, targets=())
    parts_a_batch = config.fit.accumulate
    recorder = PartsRecorder(len(data) // config.fit.batch_size * parts_a_batch)
    with adapted(model):
        trained = PretrainingModel(model, model_io, config)

        def objective(inputs: tuple[Tensor, ...], _targets: tuple[Tensor, ...]) -> Tensor:
            parts: dict[str, Tensor] = trained(*inputs)
            recorder.add(parts, share=len(inputs[0]) * parts_a_batch / config.fit.batch_size)
            return torch.stack(list(parts.values())).sum()

        fit(trained, unlabelled, objective, config.fit, on_step, augment=augment if config.augment else None)
    model.eval()
    return PretrainingRecord(
        config=config.model_dump(mode="json"),
        samples=len(data),
        recordings=len(set(data.recordings)),
        history=recorder.history(),
        seconds=time.monotonic() - started,
    )
