"""The learning task behind an `io.yaml`: each output's decoder decides its loss and its metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, GridOutput, ModelIO, Output, SoftmaxOutput
from edge.training.losses import event_loss, grid_loss, softmax_loss
from edge.training.metrics import AccuracyMetric, EventF1, GridF1, ScoreMetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.compress.scoring.task import Metric, OutputKind

# Output tensors and target tensors that an output takes, in this order.
OUTPUT_KINDS: dict[str, tuple[OutputKind, ...]] = {
    "grid": ("categorical", "regression"),
    "events": ("multilabel",),
    "softmax": ("categorical",),
}


class FusionTask:
    """Implements `edge.compress.scoring.task.Task` for the outputs of a `ModelIO`.

    Targets: a grid takes int64 `[B, h, w]` classes (0 is background) and float32 `[B, h, w]` distances in
    metres; events float32 `[B, events]`; softmax int64 `[B]`.

    Raises:
        ConfigError: An output has no trainable decoder, or a class stands beside other outputs.
    """

    def __init__(self, model_io: ModelIO) -> None:
        unknown = [o.decoder for o in model_io.outputs if o.decoder not in OUTPUT_KINDS]
        if unknown:
            raise ConfigError(f"no loss is known for outputs decoded as {unknown}", "use grid, events or softmax")
        decoders = [o.decoder for o in model_io.outputs]
        if "softmax" in decoders and len(decoders) > 1:
            raise ConfigError(f"no score is common to outputs decoded as {decoders}", "let softmax stand alone")
        self.modalities = model_io.modalities
        self._outputs = model_io.outputs
        self.output_kinds: tuple[OutputKind, ...] = tuple(
            kind for output in self._outputs for kind in OUTPUT_KINDS[output.decoder]
        )

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Sum of the outputs' losses."""
        return torch.stack([_loss(o, t, w) for o, t, w in self._split(outputs, targets)]).sum()

    def metric(self) -> Metric:
        """`score`, and the parts that it is made of."""
        if any(isinstance(o, SoftmaxOutput) for o in self._outputs):
            return AccuracyMetric()
        parts: list[GridF1 | EventF1] = [
            GridF1(o) if isinstance(o, GridOutput) else EventF1(o)
            for o in self._outputs
            if isinstance(o, GridOutput | EventOutput)
        ]
        return ScoreMetric(parts)

    def _split(
        self, outputs: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> list[tuple[Output, Sequence[Tensor], Sequence[Tensor]]]:
        parts, at = [], 0
        for output in self._outputs:
            end = at + len(OUTPUT_KINDS[output.decoder])
            parts.append((output, outputs[at:end], targets[at:end]))
            at = end
        return parts


def _loss(output: Output, tensors: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    if isinstance(output, GridOutput):
        return grid_loss(tensors[0], tensors[1], targets[0], targets[1])
    if isinstance(output, EventOutput):
        return event_loss(tensors[0], targets[0])
    return softmax_loss(tensors[0], targets[0])
