"""What each sample adds to the curve by which an observer decides on a ceiling.

Over the ceilings near a tensor's own, these observers look at a curve that is a sum over samples: how many magnitudes
are larger (`percentile`), or the squared error of clipping and rounding (`mse`). So the ceiling that any set of samples
would get follows from the sum of its samples' curves, for thousands of sets at once. The divergence that `entropy`
looks at is no such sum; there, the same shares above the same ceilings stand for the same shape of the tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.calibration.observers import squared_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.calibration.observers import Observer
    from edge.calibration.sample_tails import SampleRanges

REACH = 16  # ceilings on either side of the large set's: one octave
STEP = 2 ** (1 / 16)
_FACTORS = STEP ** np.arange(-REACH, REACH + 1)
_HALF = 0.5  # of a magnitude: fewer than one is none


@dataclass(frozen=True, eq=False)
class ScaleCurves:
    """Curves of all samples and tensors.

    Attributes:
        values: float32 `[N, T, ceilings]`, what a sample adds at each ceiling.
        limits: float32 `[T]`, how many magnitudes a sample may have above a percentile's ceiling; None for observers
            that seek the lowest point.
        targets: float32 `[T]`, the place of the large set's ceiling among the ceilings.
    """

    values: NDArray[np.float32]
    limits: NDArray[np.float32] | None
    targets: NDArray[np.float32]

    @classmethod
    def of(cls, tensors: Sequence[SampleRanges], observer: Observer, percentile: float) -> ScaleCurves:
        """The curves of `mse`, or those of `percentile`, which serve for `entropy` as well."""
        weights = _error if observer == "mse" else _share_above
        values = np.stack([(t.counts @ weights(t).T).astype(np.float32) for t in tensors], 1)
        limits = None
        if observer == "percentile":
            sizes = np.array([t.counts.sum() / len(t.counts) for t in tensors])
            limits = (sizes * (1 - percentile / 100)).astype(np.float32)
        targets = _places(values.sum(0, dtype=np.float64)[None], limits, len(values))[0]
        return cls(values, limits, targets)

    def errors(self, sums: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
        """How far the ceilings of sets of so many samples are from those of the large set.

        Args:
            sums: `[M, T, ceilings]`, each set's summed curves.
            samples: In each set.

        Returns:
            `[M, T]` in octaves.
        """
        errors: NDArray[np.float32] = np.abs(_places(sums, self.limits, samples) - self.targets) / np.float32(REACH)
        return errors


def _places(sums: NDArray[np.floating], limits: NDArray[np.float32] | None, samples: int) -> NDArray[np.float32]:
    found = _lowest(sums) if limits is None else _crossing(sums, limits[:, None] * np.float32(samples))
    return np.asarray(found, np.float32)


def _lowest(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    """Place of the lowest point, `[M, T]`, by the parabola through it and its neighbours."""
    lowest = np.clip(np.argmin(sums, -1), 1, sums.shape[-1] - 2)
    before, here, after = (np.take_along_axis(sums, (lowest + k)[..., None], -1)[..., 0] for k in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend > 0, (before - after) / np.where(bend > 0, 2 * bend, 1), 0)
    found: NDArray[np.floating] = lowest + np.clip(shift, -1, 1)
    return found


def _crossing(sums: NDArray[np.floating], limits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Place where falling curves reach their limits, `[M, T]`, straight in the logarithm between two ceilings."""
    limits = np.maximum(limits, _HALF)
    after = np.clip((sums > limits).sum(-1), 1, sums.shape[-1] - 1)
    logs, limit = np.log(np.maximum(sums, _HALF)), np.log(limits)
    high, low = (np.take_along_axis(logs, (after - k)[..., None], -1)[..., 0] for k in (1, 0))
    fall = high - low
    share = np.where(fall > 0, (high - limit[..., 0]) / np.where(fall > 0, fall, 1), 0)
    found: NDArray[np.floating] = after - 1 + np.clip(share, 0, 1)
    return found


def _share_above(tensor: SampleRanges) -> NDArray[np.float64]:
    """Share of each column that lies above each ceiling, `[ceilings, columns]`."""
    upper = np.append(tensor.edges[1:], tensor.edges[-1] * STEP)
    above = (upper - tensor.ceiling * _FACTORS[:, None]) / (upper - tensor.edges)
    share: NDArray[np.float64] = np.clip(above, 0.0, 1.0)
    return share


def _error(tensor: SampleRanges) -> NDArray[np.float64]:
    """Squared error of a magnitude of each column under each ceiling."""
    middles = tensor.edges * STEP**0.5
    middles[0] = 0.0
    return np.stack([squared_error(middles, tensor.ceiling * factor) for factor in _FACTORS])
