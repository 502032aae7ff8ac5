"""One scale for a whole weight: what transposed convolutions take."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchao.quantization.pt2e.observer import UniformQuantizationObserverBase

_SMALLEST_SCALE = 1e-7


class PerTensorWeightObserver(UniformQuantizationObserverBase):  # type: ignore[misc]
    """Largest magnitude of a weight; the largest level stands for it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ceiling: Tensor = torch.zeros(1)

    def forward(self, weight: Tensor) -> Tensor:
        """Notes `weight` and hands it on unchanged."""
        self.ceiling = weight.detach().float().abs().amax().reshape(1)
        return weight

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale float32 `[1]` and zero point int64 `[1]`, which is 0."""
        return (self.ceiling / self.quant_max).clamp_min(_SMALLEST_SCALE), torch.zeros(1, dtype=torch.int64)
