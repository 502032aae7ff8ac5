"""What a calibration set covers: modality states, and of each tensor's range, what is seen, clipped and used."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge.calibration.cache import RangeKey, RangeMethod
from edge.calibration.drawing import DrawConfig
from edge.calibration.observers import EDGES, INT8_MAX
from edge.runtime.states import all_states, state_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.calibration.dataset import CalibrationSet
    from edge.calibration.tensor_range import TensorRange


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class TensorCoverage(_Strict):
    """One tensor, or a group that shares a scale.

    Attributes:
        values: How many were seen.
        zeros: Share of them that are exactly zero.
        largest: Largest magnitude seen.
        ceiling: Magnitude of the largest INT8 level, by the method.
        clipped: Share of the values above the ceiling.
        levels: Share of the 127 magnitudes of INT8 that some value has, as far as the histogram tells.
        samples_clipped: Share of the samples of which at least one value is above the ceiling.
        typical_peak: Median of the samples' largest magnitudes, as a share of the ceiling: how much of the range
            half of the samples can use.
    """

    values: int = Field(ge=0)
    zeros: float = Field(ge=0, le=1)
    largest: float = Field(ge=0)
    ceiling: float = Field(ge=0)
    clipped: float = Field(ge=0, le=1)
    levels: float = Field(ge=0, le=1)
    samples_clipped: float = Field(ge=0, le=1)
    typical_peak: float = Field(ge=0)


class Agreement(_Strict):
    """How far the set's scales are from those of the whole split, as shares of the latter.

    Attributes:
        samples: In the whole split.
        median: Half of the tensors are nearer.
        p95: 95 % of the tensors are nearer.
        worst: The tensor that is furthest off, and by how much.
    """

    samples: int
    median: float
    p95: float
    worst: tuple[str, float]


class Coverage(_Strict):
    """`coverage.json`.

    Attributes:
        draw: How the set was drawn.
        method: How ranges become scales.
        key: Digests of model, set and method.
        samples: In the set.
        states: Samples in each modality state; states that no sample is in stand with 0.
        tensors: By name, in the graph's order.
        agreement: With the whole split, where that was looked at.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    draw: DrawConfig
    method: RangeMethod
    key: RangeKey
    samples: int
    states: dict[str, int]
    tensors: dict[str, TensorCoverage]
    agreement: Agreement | None = None


def cover_tensor(found: TensorRange, method: RangeMethod) -> TensorCoverage:
    """What one range covers.

    Raises:
        DataError: The tensor was never seen.
    """
    ceiling = found.ceiling(method.observer, method.percentile)
    counts, peaks = found.histogram.counts, found.sample_peaks()
    return TensorCoverage(
        values=int(counts.sum()),
        zeros=float(counts[0] / counts.sum()),
        largest=found.histogram.largest,
        ceiling=ceiling,
        clipped=found.histogram.share_above(ceiling),
        levels=_levels_used(found, ceiling),
        samples_clipped=float((peaks > ceiling).mean()) if peaks.size else 0.0,
        typical_peak=float(np.median(peaks) / ceiling) if peaks.size and ceiling else 0.0,
    )


def count_states(calibration: CalibrationSet, modalities: Sequence[str], present: str = "present") -> dict[str, int]:
    """Samples in each modality state, by the tensor that tells the model; all of them are `all` where there is none."""
    counts = dict.fromkeys(all_states(modalities), 0)
    if present not in calibration.tensors:
        return {**counts, "all": len(calibration)}
    rows = calibration.tensors[present]
    there = ([m for m, flag in zip(modalities, row, strict=True) if flag] for row in rows)
    return {**counts, **Counter(state_name(names, modalities) for names in there)}


def agreement_of(part: Mapping[str, float], whole: Mapping[str, float], samples: int) -> Agreement:
    """Compares ceilings by tensor; tensors that are zero everywhere agree.

    Args:
        part: Of the set.
        whole: Of the split.
        samples: In the split.
    """
    off = {name: abs(part[name] / ceiling - 1) if ceiling else 0.0 for name, ceiling in whole.items()}
    errors = np.array(list(off.values()))
    worst = max(off, key=lambda name: off[name])
    return Agreement(
        samples=samples,
        median=float(np.median(errors)),
        p95=float(np.quantile(errors, 0.95)),
        worst=(worst, off[worst]),
    )


def _levels_used(found: TensorRange, ceiling: float) -> float:
    if ceiling <= 0:
        return 0.0
    used = np.flatnonzero(found.histogram.counts)
    low = np.rint(EDGES[used] / ceiling * INT8_MAX)
    high = np.rint(np.minimum(EDGES[used + 1], found.histogram.largest) / ceiling * INT8_MAX)
    hit = np.zeros(INT8_MAX + 1, bool)
    for first, last in zip(np.minimum(low, INT8_MAX), np.minimum(high, INT8_MAX), strict=True):
        hit[int(first) : int(last) + 1] = True
    return float(hit[1:].mean())
