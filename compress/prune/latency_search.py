"""Which widths reach a latency: blocks of channels by milliseconds gained for importance lost, proved on real graphs.

A path leads from the unpruned model to the narrowest. Predictions order its steps, and say where on it the target
should lie; what decides is the real graph of a place on the path, timed against the unpruned one.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.compress.prune.search import competing_widths, uniform_counts
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.compress.prune.config import PruneConfig
    from edge.compress.prune.graph import ChannelGroup
    from edge.compress.prune.latency_source import LatencyShare
    from edge.compress.prune.predicted_latency import PredictedLatency
    from edge.compress.prune.search import Candidates

logger = logging.getLogger(__name__)
UNIFORM = "uniform"
UNIFORM_STEPS = 40  # of the share that all groups lose
MOST_GRAPHS = 8  # real graphs that one search may time


@dataclass(frozen=True)
class Stop:
    """A place on the path.

    Attributes:
        counts: Channels that each group keeps; groups that stay whole are absent.
        share: Predicted share of the unpruned model's latency.
    """

    counts: Mapping[str, int]
    share: float


def narrowest_counts(candidates: Candidates, config: PruneConfig) -> dict[str, int]:
    """The least width of each group that may shrink."""
    allowed = {group.name: competing_widths(group, config) for group in candidates.groups}
    return {name: widths[-1] for name, widths in allowed.items() if widths}


def pruning_path(candidates: Candidates, predicted: PredictedLatency, config: PruneConfig) -> list[Stop]:
    """From the unpruned model to the narrowest: at each step the most milliseconds for the least importance.

    The importance that a step loses is the fall of log(share that its group keeps): layers stand one behind the
    other, so that what they keep multiplies. A step may jump over widths that gain little by themselves.
    """
    full = predicted.ms({})
    counts: dict[str, int] = {}
    path = [Stop({}, 1.0)]
    best: dict[str, tuple[float, int]] = {}
    changed = {group.name for group in candidates.groups}
    while True:
        now = predicted.ms(counts)
        for group in candidates.groups:
            if group.name in changed:
                best[group.name] = _best_step(candidates, predicted, config, group, counts, now)
        name = max(best, key=lambda one: (best[one][0], one))
        rate, width = best[name]
        if rate < 0:
            return path
        counts = {**counts, name: width}
        path.append(Stop(counts, predicted.ms(counts) / full))
        changed = _neighbours(candidates, name)


def rival_paths(candidates: Candidates, predicted: PredictedLatency, config: PruneConfig) -> dict[str, list[Stop]]:
    """The path of the configuration first, then those of its rivals, by name."""
    caps = [config.max_ratio]
    if config.rivals:
        caps += [cap for cap in config.rivals.max_ratios if cap < config.max_ratio]
    paths = {
        f"max_ratio {cap:g}": pruning_path(candidates, predicted, config.model_copy(update={"max_ratio": cap}))
        for cap in caps
    }
    if config.rivals and config.rivals.uniform:
        paths[UNIFORM] = uniform_path(candidates, predicted, config)
    return paths


def uniform_path(candidates: Candidates, predicted: PredictedLatency, config: PruneConfig) -> list[Stop]:
    """From the unpruned model on, all groups lose the same share, rounded to the nearest width that they may have."""
    full, least = predicted.ms({}), narrowest_counts(candidates, config)
    groups = [group for group in candidates.groups if group.name in least]
    path = [Stop({}, 1.0)]
    for step in range(1, UNIFORM_STEPS + 1):
        try:
            counts = uniform_counts(groups, config.max_ratio * step / UNIFORM_STEPS, config.align, config.minimum)
        except ConfigError:  # nothing gets narrower yet
            continue
        counts = {name: max(count, least[name]) for name, count in counts.items()}
        if counts != path[-1].counts:
            path.append(Stop(counts, predicted.ms(counts) / full))
    return path


def _best_step(
    candidates: Candidates,
    predicted: PredictedLatency,
    config: PruneConfig,
    group: ChannelGroup,
    counts: Mapping[str, int],
    now: float,
) -> tuple[float, int]:
    """Milliseconds for importance, and the width that the group gets for it; a rate below 0 where it has no step."""
    width = counts.get(group.name, group.size)
    kept = math.log(max(candidates.importance_left(group.name, width), 1e-12))
    best = (-1.0, width)
    for narrower in competing_widths(group, config):
        if narrower < width:
            left = math.log(max(candidates.importance_left(group.name, narrower), 1e-12))
            gain = max(0.0, now - predicted.ms({**counts, group.name: narrower}))
            best = max(best, (gain / max(kept - left, 1e-9), narrower))
    return best


def _neighbours(candidates: Candidates, name: str) -> set[str]:
    """The group, and those that share a tensor with it: only their steps change."""
    paths = {group.name: {slot.path for slot in group.slots} for group in candidates.groups}
    return {other for other, held in paths.items() if held & paths[name]}


@dataclass
class PathSearch:
    """Looks for the first stop of a path whose real graph holds the target.

    Args:
        path: From `pruning_path`.
        target: Share of the latency that may stay.
        slack: How far below it is near enough.
        share_of: Builds and times the real graph of some widths.
    """

    path: Sequence[Stop]
    target: float
    slack: float
    share_of: Callable[[Mapping[str, int]], LatencyShare]
    found: dict[int, LatencyShare] = field(default_factory=dict)

    def run(self) -> int | None:
        """Index of the stop; None where even the last does not hold."""
        fails, holds = 0, len(self.path)
        while holds - fails > 1 and (len(self.found) < MOST_GRAPHS or holds == len(self.path)):
            stop = self._next(fails, holds)
            share = self._timed(stop)
            if share.holds(self.target):
                holds = stop
                if share.interval[1] >= self.target * (1 - self.slack):
                    break
            else:
                fails = stop
        return holds if holds < len(self.path) else None

    def _timed(self, stop: int) -> LatencyShare:
        if stop not in self.found:
            share = self.found[stop] = self.share_of(self.path[stop].counts)
            logger.info("predicted %.3f, found %.3f of the latency", self.path[stop].share, share.ratio)
        return self.found[stop]

    def _next(self, fails: int, holds: int) -> int:
        """The first stop whose predicted share, put right by what was found, is below the target.

        Where many graphs were timed and none of them holds, the last stop is asked: the target may be out of reach.
        """
        if len(self.found) >= MOST_GRAPHS - 1 and holds == len(self.path):
            return holds - 1
        aim = self.target * (1 - self.slack / 2)
        guess = next((i for i in range(1, len(self.path)) if self._corrected(i) <= aim), len(self.path) - 1)
        return min(max(guess, fails + 1), holds - 1)

    def _corrected(self, stop: int) -> float:
        """Upper end of the share: between two graphs that were timed it follows the predicted one in a line."""
        known = {0: 1.0, **{index: share.interval[1] for index, share in self.found.items()}}
        before = max(index for index in known if index <= stop)
        after = min((index for index in known if index > stop), default=None)
        predicted = self.path[stop].share
        if after is None:  # beyond the last: in proportion
            return known[before] * predicted / self.path[before].share
        span = self.path[before].share - self.path[after].share
        part = (self.path[before].share - predicted) / span if span > 0 else 1.0
        return known[before] + part * (known[after] - known[before])
