"""The learning task behind an `io.yaml`: each output's decoder decides its loss and its metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, GridOutput, ModelIO, Output, SoftmaxOutput
from edge.training.class_balance import output_weights, rarity, settings_by_output
from edge.training.losses import event_loss, grid_loss, softmax_loss
from edge.training.metrics import AccuracyMetric, EventF1, GridF1, ScoreMetric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edge.compress.scoring.imbalance import ClassWeights
    from edge.compress.scoring.task import Metric, OutputKind
    from edge.training.class_balance import LabelledOutput

LabelledKind = TypeVar("LabelledKind", bound=Output)
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

    Args:
        model_io: Its outputs.
        class_weights: Of the losses, by output tensor; from `weighing`.

    Raises:
        ConfigError: An output has no trainable decoder, or a class stands beside other outputs.
    """

    def __init__(self, model_io: ModelIO, class_weights: Mapping[str, Tensor] | None = None) -> None:
        unknown = [o.decoder for o in model_io.outputs if o.decoder not in OUTPUT_KINDS]
        if unknown:
            raise ConfigError(f"no loss is known for outputs decoded as {unknown}", "use grid, events or softmax")
        decoders = [o.decoder for o in model_io.outputs]
        if "softmax" in decoders and len(decoders) > 1:
            raise ConfigError(f"no score is common to outputs decoded as {decoders}", "let softmax stand alone")
        self.modalities = model_io.modalities
        self._io, self._class_weights = model_io, dict(class_weights or {})
        self._outputs = tuple(o for o in model_io.outputs if isinstance(o, GridOutput | EventOutput | SoftmaxOutput))
        self.output_kinds: tuple[OutputKind, ...] = tuple(
            kind for output in self._outputs for kind in OUTPUT_KINDS[output.decoder]
        )

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Sum of the outputs' losses."""
        parts = self.split(outputs, targets)
        return torch.stack(
            [_loss(o, given, wanted, self._class_weights.get(o.tensor)) for o, given, wanted in parts]
        ).sum()

    def weighing(self, weights: ClassWeights, targets: Sequence[Tensor]) -> FusionTask:
        """The same task with losses weighted by class, as `edge.training.class_balance` says.

        Args:
            weights: For all outputs, or by output tensor.
            targets: Of the whole training split.

        Raises:
            ConfigError: An output is unknown, or has another number of classes.
        """
        settings = settings_by_output(weights, self._outputs)
        found = {
            output.tensor: output_weights(output, settings.get(output.tensor, "none"), wanted[0])
            for output, _, wanted in self.split(targets, targets)
        }
        return FusionTask(self._io, {name: values for name, values in found.items() if values is not None})

    def draw_weights(self, targets: Sequence[Tensor]) -> Tensor:
        """float64 `[N]`: each sample as likely as its rarest class, of all outputs, is rare."""
        rarities = [rarity(output, wanted[0]) for output, _, wanted in self.split(targets, targets)]
        return torch.stack(rarities).amax(0)

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

    def split(
        self, outputs: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> list[tuple[LabelledOutput, Sequence[Tensor], Sequence[Tensor]]]:
        """Each output with its own output tensors and targets."""
        return tensors_by_output(self._outputs, outputs, targets)


def tensors_by_output(
    described: Sequence[LabelledKind], outputs: Sequence[Tensor], targets: Sequence[Tensor]
) -> list[tuple[LabelledKind, Sequence[Tensor], Sequence[Tensor]]]:
    """Each output of `io.yaml` with its own output tensors and targets, which stand side by side in a model's.

    Args:
        described: The outputs, in the model's order.
        outputs: All of the model's.
        targets: All of a sample set's.
    """
    parts, at = [], 0
    for output in described:
        end = at + len(OUTPUT_KINDS[output.decoder])
        parts.append((output, outputs[at:end], targets[at:end]))
        at = end
    return parts


def _loss(
    output: LabelledOutput, tensors: Sequence[Tensor], targets: Sequence[Tensor], weights: Tensor | None
) -> Tensor:
    if isinstance(output, GridOutput):
        return grid_loss(tensors[0], tensors[1], targets[0], targets[1], weights)
    if isinstance(output, EventOutput):
        return event_loss(tensors[0], targets[0], weights)
    return softmax_loss(tensors[0], targets[0], weights)
