"""Rounding to INT8 levels that lets gradients through, to the values and to their scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.observer import UniformQuantizationObserverBase

if TYPE_CHECKING:
    from edge.compress.quantize.observers import ActivationObserver
    from edge.compress.quantize.prepared_graph import WeightObserver

_SPEED = 10.0  # how much faster than a weight the logarithm of a scale moves


class LearnedLevels(UniformQuantizationObserverBase):  # type: ignore[misc]
    """Stands where an observer stood, and gives what the Q/DQ pair that comes of it will give.

    The scale is the calibrated one times `exp` of what is learned: always above 0, its steps in proportion to it, as
    with learned thresholds (Jain et al., "Trained Quantization Thresholds", 2020). Zero points are 0.

    Args:
        observer: Calibrated; its scale is the start.
        learn: Whether the scale is trained.
    """

    def __init__(self, observer: ActivationObserver | WeightObserver, *, learn: bool) -> None:
        super().__init__(
            dtype=observer.dtype,
            qscheme=observer.qscheme,
            quant_min=observer.quant_min,
            quant_max=observer.quant_max,
        )
        scale = observer.calculate_qparams()[0].detach()
        self.ch_axis: int | None = getattr(observer, "ch_axis", None)
        self.register_buffer("start", scale.clone())
        self.growth = nn.Parameter(torch.zeros_like(scale), requires_grad=learn)

    def scale(self) -> Tensor:
        """float32, one or one a channel."""
        start: Tensor = self.start
        return start * (_SPEED * self.growth).exp()

    def forward(self, values: Tensor) -> Tensor:
        """The values as INT8 gives them, float32."""
        scale = self.scale()
        if self.ch_axis is not None:
            scale = scale.reshape([-1 if axis == self.ch_axis else 1 for axis in range(values.dim())])
        return round_to_levels(values, scale, (self.quant_min, self.quant_max), self._gain(values))

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scales float32 and zero points int64, which are 0: what `convert_pt2e` asks an observer for."""
        scale = self.scale().detach()
        return scale, torch.zeros(len(scale), dtype=torch.int64)

    def _gain(self, values: Tensor) -> float:
        """Of a scale's gradient (LSQ, section 2.2): by how many values of a weight or of a sample share it."""
        parts = len(self.start) if self.ch_axis is not None else len(values) if values.dim() else 1
        return float((values.numel() / max(parts, 1) * self.quant_max) ** -0.5) if values.numel() else 1.0


def round_to_levels(values: Tensor, scale: Tensor, levels: tuple[int, int], gain: float = 1.0) -> Tensor:
    """Rounds as `quantized_decomposed` does, with the gradients of LSQ.

    Those of the values pass where they are inside of the levels and stop outside; that of the scale is
    `round(v / s) - v / s` inside and the level outside (Esser et al., "Learned Step Size Quantization", 2020).

    Args:
        values: float32.
        scale: float32, broadcast against the values.
        levels: Lowest and largest.
        gain: What the scale's gradient is multiplied by.
    """
    rounded: Tensor = _Rounding.apply(values, scale, levels, gain)  # type: ignore[no-untyped-call]
    return rounded


class _Rounding(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, scale: Tensor, levels: tuple[int, int], gain: float) -> Tensor:
        context.save_for_backward(values, scale)
        context.levels, context.gain = levels, gain
        # By the reciprocal, as the converted graph does: a division would break some ties the other way.
        return (values * (1.0 / scale)).round_().clamp_(*levels).mul_(scale)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        values, scale = context.saved_tensors
        steps = values * (1.0 / scale)
        inside = (steps >= context.levels[0]) & (steps <= context.levels[1])
        own = None
        if context.needs_input_grad[1]:
            errors = steps.round().clamp_(*context.levels).sub_(steps * inside).mul_(gradient)
            own = errors.sum_to_size(scale.shape) * context.gain
        return gradient * inside, own, None, None
