"""Torch modules that watch tensors during calibration and turn what they saw into symmetric INT8 scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torchao.quantization.pt2e.observer import UniformQuantizationObserverBase

from edge.calibration.observers import BINS, MagnitudeHistogram, Observer, symmetric_scale
from edge.calibration.sample_tails import FINE_BINS, SampleTails
from edge.calibration.tensor_range import TensorRange
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHIFT = 31 - (BINS.bit_length() - 1)
_SMALLEST_SCALE = 1e-7


@dataclass(frozen=True)
class RunningSamples:
    """The samples of the batch that runs.

    Attributes:
        first: Place of the first in the calibration set; the others follow it.
        names: One for each.
    """

    first: int
    names: tuple[str, ...]


class ActivationObserver(UniformQuantizationObserverBase):  # type: ignore[misc]
    """Notes the magnitudes of one tensor, or of a group that shares a scale.

    Args:
        observer: How the magnitudes become a scale, see `TensorRange.ceiling`.
        percentile: For `percentile`.
        kwargs: What PT2E passes on from the `QuantizationSpec`.

    Attributes:
        range: What was seen.
        tails: Each sample's own counts, where they are asked for.
        layer: Whose result it is, for messages.
        batch: The samples that are running; None where nobody says (`edge.compress.quantize.observation.observe`
            does), and then no sample's peak is kept.
    """

    def __init__(self, observer: Observer = "minmax", percentile: float = 99.99, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.observer: Observer = observer
        self.percentile = percentile
        self.range = TensorRange()
        self.tails: SampleTails | None = None
        self.layer = "of an unknown name"
        self.batch: RunningSamples | None = None

    @property
    def histogram(self) -> MagnitudeHistogram:
        """Of all magnitudes seen."""
        return self.range.histogram

    def forward(self, values: Tensor) -> Tensor:
        """Counts `values` and hands them on unchanged.

        Raises:
            DataError: They hold NaN or infinity.
        """
        if values.numel():
            self._note(_rows(values.detach().abs().float(), self.batch))
        return values

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale float32 `[1]` and zero point int64 `[1]`, which is 0."""
        scale = symmetric_scale(self.range.ceiling(self.observer, self.percentile))
        return torch.tensor([scale], dtype=torch.float32), torch.zeros(1, dtype=torch.int64)

    def _note(self, rows: Tensor) -> None:
        peaks = rows.amax(1).cpu().numpy()
        if not np.isfinite(peaks).all():
            self._refuse(int(np.argmin(np.isfinite(peaks))))
        bins = rows.view(torch.int32) >> _SHIFT
        self.histogram.add_counts(_counted(bins.reshape(1, -1), BINS)[0], float(peaks.max()))
        if self.tails is not None and self.batch is not None:
            self.tails.add(self.batch.first, _counted(bins // FINE_BINS, BINS // FINE_BINS))
        if self.batch is not None:
            self.range.add_peaks(self.batch.first, peaks)

    def _refuse(self, row: int) -> NoReturn:
        sample = f"for sample '{self.batch.names[row]}'" if self.batch else "on the calibration set"
        raise DataError(
            f"layer '{self.layer}' gives NaN or infinity {sample}: its activation is NaN or infinite",
            "check that layer's weights and the sample, and leave the sample out if it is at fault",
        )


def _rows(magnitudes: Tensor, batch: RunningSamples | None) -> Tensor:
    """A row for each sample, `[N, k]`; a constant, which has no batch, is what every sample sees."""
    if batch is None:
        return magnitudes.reshape(1, -1)
    count = len(batch.names)
    if magnitudes.dim() and len(magnitudes) % count == 0:
        return magnitudes.reshape(count, -1)
    return magnitudes.reshape(1, -1).repeat(count, 1)


def _counted(bins: Tensor, width: int) -> NDArray[np.int64]:
    """How often each bin stands in each row: int64 `[rows, width]` of `[rows, k]`."""
    rows = len(bins)
    if rows > 1:
        bins = bins + torch.arange(rows, dtype=bins.dtype, device=bins.device)[:, None] * width
    counts = torch.bincount(bins.flatten(), minlength=rows * width)
    return counts.cpu().numpy().astype(np.int64, copy=False).reshape(rows, width)


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
