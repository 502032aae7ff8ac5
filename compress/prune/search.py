"""Which widths reach a target: uniform ones, or the shortest list of least important blocks of channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from edge.compress.prune.graph import ChannelGraph, cuts_of
from edge.compress.prune.plan import GroupChange, PruningPlan
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from edge.compress.prune.config import PruneConfig
    from edge.compress.prune.graph import ChannelGroup


@dataclass(frozen=True)
class Candidates:
    """All plans over some groups: a plan is a width per group, the most important channels stay.

    Attributes:
        graph: The whole model's groups and layers.
        groups: Those that may be pruned.
        scores: Importance per group and channel.
    """

    graph: ChannelGraph
    groups: tuple[ChannelGroup, ...]
    scores: Mapping[str, Tensor]

    def plan(self, counts: Mapping[str, int]) -> PruningPlan:
        """The plan that leaves `counts` channels in the named groups and all in the others."""
        kept = {name: np.sort(self._ranked(name)[-count:]) for name, count in counts.items()}
        cuts = cuts_of(self.graph, kept)
        return PruningPlan(
            shapes={path: self.graph.shapes[path] for path in cuts},
            kept={path: {dim: tuple(kept) for dim, kept in dims.items()} for path, dims in cuts.items()},
            groups=tuple(
                GroupChange(name=group.name, channels=group.size, kept=counts.get(group.name, group.size))
                for group in self.groups
            ),
            untouched=dict(self.graph.blocked),
            macs_before=sum(layer.macs for layer in self.graph.layers),
            macs_after=self._macs(cuts),
        )

    def block_score(self, name: str, removed: int, more: int) -> float:
        """Mean importance of the channels between the `removed` and the `more` least important ones."""
        ranked = self._ranked(name)[removed:more]
        return float(self.scores[name].numpy()[ranked].mean())

    def _ranked(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        order = np.argsort(self.scores[name].numpy(), kind="stable")
        return order.astype(np.int64)

    def _macs(self, cuts: Mapping[str, Mapping[int, Sequence[int]]]) -> int:
        total = 0
        for layer in self.graph.layers:
            cut = cuts.get(layer.weight or "", {})
            shape = self.graph.shapes[layer.weight] if cut and layer.weight else ()
            total += layer.macs * prod(map(len, cut.values())) // prod(shape[dim] for dim in cut)
        return total


def widths(size: int, align: int, minimum: int) -> list[int]:
    """Widths that a group may be cut to, descending: multiples of `align` from `minimum` up."""
    return [width for width in range(size - 1, minimum - 1, -1) if width % align == 0 and width > 0]


def uniform_counts(groups: Sequence[ChannelGroup], ratio: float, align: int, minimum: int) -> dict[str, int]:
    """Width per group nearest to losing `ratio` of it; ties keep more.

    Raises:
        ConfigError: No group loses a channel.
    """
    counts = {}
    for group in groups:
        allowed = [group.size, *widths(group.size, align, minimum)]
        counts[group.name] = min(allowed, key=lambda width: abs(width - group.size * (1 - ratio)))
    counts = {group.name: counts[group.name] for group in groups if counts[group.name] < group.size}
    if not counts:
        raise ConfigError(
            f"at ratio {ratio:g} with align {align} and minimum {minimum} no group of channels gets narrower",
            "raise ratio, or lower align or minimum",
        )
    return counts


def search_cost(
    candidates: Candidates,
    *,
    target: float,
    cost: Callable[[PruningPlan], float],
    what: str,
    config: PruneConfig,
) -> dict[str, int]:
    """Removes the least important blocks over all groups until the cost is at most `target` of the original.

    Raises:
        ConfigError: The target is out of reach; the message says the least that is reachable.
    """
    steps = _steps(candidates, config)
    budget = target * cost(candidates.plan({}))
    least = cost(candidates.plan(dict(steps)))
    if least > budget:
        reachable = np.ceil(target * least / budget * 1000) / 1000
        raise ConfigError(
            f"{what} cannot go down to {target:g} of the original: with align {config.align}, minimum "
            f"{config.minimum} and max_ratio {config.max_ratio:g} the least is {reachable:g}",
            "raise the target to that, or loosen those three or `keep`",
        )
    short, enough = 0, len(steps)
    while enough - short > 1:
        middle = (short + enough) // 2
        if cost(candidates.plan(dict(steps[:middle]))) <= budget:
            enough = middle
        else:
            short = middle
    return dict(steps[:enough])


def _steps(candidates: Candidates, config: PruneConfig) -> list[tuple[str, int]]:
    """(group, new width) in the order of rising importance of the channels that the step removes.

    A later step of a group overrides the earlier ones; scores rise within a group, so the order is consistent.
    """
    scored: list[tuple[float, str, int]] = []
    for group in candidates.groups:
        least = max(config.minimum, int(np.ceil(group.size * (1 - config.max_ratio))))
        width = group.size
        for narrower in widths(group.size, config.align, least):
            score = candidates.block_score(group.name, group.size - width, group.size - narrower)
            scored.append((score, group.name, narrower))
            width = narrower
    return [(name, width) for _, name, width in sorted(scored, key=lambda step: (step[0], step[1], -step[2]))]
