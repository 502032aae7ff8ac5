"""Torch modules that watch tensors during calibration and turn what they saw into symmetric INT8 scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchao.quantization.pt2e.observer import UniformQuantizationObserverBase

from edge.calibration.observers import BINS, MagnitudeHistogram, Observer, symmetric_scale

_SHIFT = 31 - (BINS.bit_length() - 1)
_SMALLEST_SCALE = 1e-7


class ActivationObserver(UniformQuantizationObserverBase):  # type: ignore[misc]
    """Counts the magnitudes of one tensor, or of a group that shares a scale.

    Args:
        observer: How the counts become a scale, see `MagnitudeHistogram.ceiling`.
        percentile: For `percentile`.
        kwargs: What PT2E passes on from the `QuantizationSpec`.
    """

    def __init__(self, observer: Observer = "minmax", percentile: float = 99.99, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.observer: Observer = observer
        self.percentile = percentile
        self.histogram = MagnitudeHistogram()

    def forward(self, values: Tensor) -> Tensor:
        """Counts `values` and hands them on unchanged."""
        if values.numel():
            magnitudes = values.detach().abs().float().contiguous().flatten()
            largest = float(magnitudes.max())
            bins = torch.bincount(magnitudes.view(torch.int32) >> _SHIFT, minlength=BINS)
            self.histogram.add_counts(bins.cpu().numpy().astype(np.int64, copy=False), largest)
        return values

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale float32 `[1]` and zero point int64 `[1]`, which is 0."""
        scale = symmetric_scale(self.histogram.ceiling(self.observer, self.percentile))
        return torch.tensor([scale], dtype=torch.float32), torch.zeros(1, dtype=torch.int64)


class PerChannelWeightObserver(UniformQuantizationObserverBase):  # type: ignore[misc]
    """Largest magnitude of each output channel of a weight; level 127 stands for it."""

    def __init__(self, ch_axis: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ch_axis = ch_axis
        self.ceilings: Tensor = torch.empty(0)

    def forward(self, weight: Tensor) -> Tensor:
        """Notes `weight` and hands it on unchanged."""
        self.ceilings = weight.detach().float().transpose(0, self.ch_axis).flatten(1).abs().amax(1)
        return weight

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scales float32 `[channels]` and zero points int64 `[channels]`, which are 0."""
        scales = (self.ceilings / self.quant_max).clamp_min(_SMALLEST_SCALE)
        return scales, torch.zeros(len(scales), dtype=torch.int64)
