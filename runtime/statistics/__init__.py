"""How everything here is timed and counted: interleaved timings, supported percentiles, seeded intervals."""

from edge.runtime._core import LogHistogram
from edge.runtime.statistics.intervals import (
    Interval,
    clustered_interval,
    median_interval,
    percentile_interval,
    replicate_interval,
)
from edge.runtime.statistics.pairwise import Comparison, compare
from edge.runtime.statistics.percentiles import Distribution, minimum_samples, percentile
from edge.runtime.statistics.timing import (
    Timing,
    WarmUp,
    interleave,
    paused_collector,
    time_call,
)

__all__ = [
    "Comparison",
    "Distribution",
    "Interval",
    "LogHistogram",
    "Timing",
    "WarmUp",
    "clustered_interval",
    "compare",
    "interleave",
    "median_interval",
    "minimum_samples",
    "paused_collector",
    "percentile",
    "percentile_interval",
    "replicate_interval",
    "time_call",
]
