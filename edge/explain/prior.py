"""The answer of one who sees nothing and knows how often each class occurs: what contributions are counted from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, GridOutput, SoftmaxOutput
from edge.training.fusion_task import OUTPUT_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.runtime.model_io import ModelIO, Output

_RAREST = 1e-9  # a class that never occurs has a probability all the same: logarithms stay finite


def prior_outputs(model_io: ModelIO, targets: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Output tensors `[1, ...]` of a model that always answers with the frequencies of the targets.

    The model itself is not asked without any modality: it was never trained so, and some fusions cannot answer.

    Args:
        model_io: Which outputs.
        targets: All targets of a split, in the task's order.
    """
    outputs: list[Tensor] = []
    at = 0
    for output in model_io.outputs:
        end = at + len(OUTPUT_KINDS[output.decoder])
        outputs += _constant(output, targets[at:end])
        at = end
    return tuple(outputs)


def _constant(output: Output, targets: Sequence[Tensor]) -> list[Tensor]:
    if isinstance(output, SoftmaxOutput):
        return [_log_frequencies(targets[0], len(output.classes))[None]]
    if isinstance(output, EventOutput):
        often = (targets[0] > 0.5).double().mean(0).clamp(_RAREST, 1 - _RAREST)
        return [often.logit()[None].float()]
    if isinstance(output, GridOutput):
        cells, distance_m = targets[0], targets[1]
        logits = _log_frequencies(cells, 1 + len(output.classes))[None, :, None, None]
        seen = distance_m[cells > 0]
        typical = seen.median().clamp(min=0.1).log() if len(seen) else torch.zeros(())
        height, width = cells.shape[1:]
        return [logits.expand(-1, -1, height, width), typical.float().expand(1, 1, height, width)]
    raise ConfigError(f"output '{output.tensor}' has no classes", "explain models with grid, events or softmax outputs")


def _log_frequencies(classes: Tensor, count: int) -> Tensor:
    found = torch.bincount(classes.flatten(), minlength=count).double()
    return (found / found.sum()).clamp(min=_RAREST).log().float()
