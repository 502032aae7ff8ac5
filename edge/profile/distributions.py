"""From durations to what a profile says of them: percentiles, their intervals, a curve to draw, and doubts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.profile.contents import Measured
from edge.profile.dependence import dependent_interval, worth_samples
from edge.runtime.clock import NS_PER_MS
from edge.runtime.statistics import Distribution, minimum_samples

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
CURVE_POINTS = 200
_TAIL_POINTS = 40  # of them, spread over the slowest twentieth


def measured_ms(durations_ns: ArrayLike) -> Measured:
    """Durations as a profile holds them.

    Args:
        durations_ns: `[n]` nanoseconds, in the order in which they were taken.

    Raises:
        DataError: A value is not finite.
    """
    values = np.asarray(durations_ns, np.float64) / NS_PER_MS
    distribution = Distribution.of(values)
    bounds = {name: dependent_interval(values, share) for name, share in SHARES.items() if len(values)}
    told = distribution.to_json()
    return Measured(
        distribution=distribution,
        intervals={name: found for name, found in bounds.items() if found is not None and told[name] is not None},
        mean=float(values.mean()) if len(values) else None,
        curve=_curve(np.sort(values)),
    )


def dependence_notes(durations_ns: ArrayLike) -> tuple[str, ...]:
    """Says of which percentiles a reader should think less than n promises."""
    values = np.asarray(durations_ns, np.float64)
    notes = []
    for name, share in SHARES.items():
        worth = worth_samples(values, share)
        if len(values) >= minimum_samples(share) and worth < len(values):
            doubt = "" if worth >= minimum_samples(share) else ", too few to bound it"
            notes.append(
                f"Durations resemble those before them: for {name}, {len(values)} samples count as {worth}{doubt}."
            )
    return tuple(notes)


def _curve(ordered: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    n = len(ordered)
    if n <= CURVE_POINTS:
        ranks = np.arange(n)
    else:
        body = np.linspace(0, 0.95 * (n - 1), CURVE_POINTS - _TAIL_POINTS)
        tail = np.linspace(0.95 * (n - 1), n - 1, _TAIL_POINTS + 1)[1:]
        ranks = np.unique(np.concatenate((body, tail)).astype(np.int64))
    return tuple((float((rank + 1) / n), float(ordered[rank])) for rank in ranks)
