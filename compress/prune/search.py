"""Which widths reach a target: uniform ones, or the shortest list of least important blocks of channels."""

from __future__ import annotations

from collections import defaultdict
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

    from edge.compress.mac_count import LayerMacs
    from edge.compress.prune.config import PruneConfig
    from edge.compress.prune.graph import ChannelGroup


@dataclass(frozen=True)
class Candidates:
    """All plans over some groups: a plan is a width per group, the most important channels stay.

    Attributes:
        graph: The whole model's groups and layers.
        groups: Those that may be pruned.
        scores: Importance per group and channel.
        separated: Attention modules that were taken apart before.
    """

    graph: ChannelGraph
    groups: tuple[ChannelGroup, ...]
    scores: Mapping[str, Tensor]
    separated: tuple[str, ...] = ()

    def plan(self, counts: Mapping[str, int]) -> PruningPlan:
        """The plan that leaves `counts` channels in the named groups and all in the others."""
        kept = {name: np.sort(self._ranked(name)[-count:]) for name, count in counts.items()}
        cuts = cuts_of(self.graph, kept)
        return PruningPlan(
            shapes={path: self.graph.shapes[path] for path in cuts},
            kept={path: {dim: tuple(kept) for dim, kept in dims.items()} for path, dims in cuts.items()},
            groups=tuple(
                GroupChange(
                    name=group.name,
                    channels=group.size,
                    kept=counts.get(group.name, group.size),
                    unit=group.unit,
                )
                for group in self.groups
            ),
            separated=tuple(m for m in self.separated if any(path.startswith(f"{m}.") for path in cuts)),
            untouched=dict(self.graph.blocked),
            macs_before=sum(layer.macs for layer in self.graph.layers),
            macs_after=self.macs(counts),
        )

    def macs(self, counts: Mapping[str, int]) -> int:
        """Multiply-accumulates that `counts` leave, from each weight's share, without building the plan."""
        gone = self.positions_gone(counts)
        left = sum(self._layer_macs(layer, gone) for layer in self.graph.layers)
        lost = {group.name: 1 - counts.get(group.name, group.size) / group.size for group in self.groups}
        return left - sum(int(use.product_macs * lost.get(use.heads or "", 0)) for use in self.graph.uses)

    def positions_gone(self, counts: Mapping[str, int]) -> Mapping[tuple[str, int], int]:
        """How many positions each dimension of each tensor loses; those that lose none are absent."""
        gone: dict[tuple[str, int], int] = defaultdict(int)
        for group in self.groups:
            removed = group.size - counts.get(group.name, group.size)
            for slot in group.slots if removed else ():
                gone[slot.path, slot.dim] += removed * slot.indices.shape[1]
        return gone

    def block_score(self, name: str, removed: int, more: int) -> float:
        """Mean importance of the channels between the `removed` and the `more` least important ones."""
        ranked = self._ranked(name)[removed:more]
        return float(self.scores[name].numpy()[ranked].mean())

    def importance_left(self, name: str, count: int) -> float:
        """Share of a group's importance that its `count` most important channels hold."""
        scores = np.sort(self.scores[name].numpy())
        total = float(scores.sum())
        return float(scores[-count:].sum()) / total if total > 0 else count / len(scores)

    def _ranked(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        order = np.argsort(self.scores[name].numpy(), kind="stable")
        return order.astype(np.int64)

    def _layer_macs(self, layer: LayerMacs, gone: Mapping[tuple[str, int], int]) -> int:
        shape = self.graph.shapes.get(layer.weight, ()) if layer.weight else ()
        left = [size - gone.get((layer.weight or "", dim), 0) for dim, size in enumerate(shape)]
        return layer.macs * prod(left) // max(prod(shape), 1)


def widths(size: int, align: int, minimum: int, unit: int = 1) -> list[int]:
    """Channels that a group may be cut to, descending.

    Args:
        size: Channels that it has.
        align: What is left is a multiple of this, counted in positions of the tensor that makes the channels.
        minimum: The fewest positions.
        unit: Positions that one channel takes there, such as the width of a head.
    """
    return [n for n in range(size - 1, 0, -1) if (n * unit) % align == 0 and n * unit >= minimum]


def competing_widths(group: ChannelGroup, config: PruneConfig) -> list[int]:
    """`widths` of a group that competes with others, so that `max_ratio` limits what it loses."""
    least = int(np.ceil(group.size * (1 - config.max_ratio)))
    return widths(group.size, config.align, max(config.minimum, least * group.unit), group.unit)


def uniform_counts(groups: Sequence[ChannelGroup], ratio: float, align: int, minimum: int) -> dict[str, int]:
    """Width per group nearest to losing `ratio` of it; ties keep more.

    Raises:
        ConfigError: No group loses a channel.
    """
    counts = {}
    for group in groups:
        allowed = [group.size, *widths(group.size, align, minimum, group.unit)]
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
    target: float,
    cost: Callable[[Mapping[str, int]], float],
    *,
    what: str,
    config: PruneConfig,
    give_back: bool,
) -> dict[str, int]:
    """Removes the least important blocks over all groups until the cost is at most `target` of the original.

    Args:
        candidates: The groups with their scores.
        target: Share of the original cost that may stay.
        cost: What the model costs with these widths.
        what: Its name in the error.
        config: Alignment and limits.
        give_back: Undo what the target does not need, at one call of `cost` per step: for costs that are computed.

    Raises:
        ConfigError: The target is out of reach; the message says the least that is reachable.
    """
    steps = _steps(candidates, config)
    budget = target * cost({})
    least = cost(dict(steps))
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
        if cost(dict(steps[:middle])) <= budget:
            enough = middle
        else:
            short = middle
    taken = steps[:enough]
    return dict(_given_back(candidates, taken, budget, cost) if give_back else taken)


def _given_back(
    candidates: Candidates, taken: list[tuple[str, int]], budget: float, cost: Callable[[Mapping[str, int]], float]
) -> list[tuple[str, int]]:
    """Undoes steps, the most important first, as long as the budget holds: the last step usually overshoots."""
    final: set[str] = set()
    for index in reversed(range(len(taken))):
        group = taken[index][0]
        fewer = taken[:index] + taken[index + 1 :]
        if group not in final and cost(dict(fewer)) <= budget:
            taken = fewer
        else:
            final.add(group)
    return taken


def _steps(candidates: Candidates, config: PruneConfig) -> list[tuple[str, int]]:
    """(group, new width) in the order of rising importance of the channels that the step removes.

    A later step of a group overrides the earlier ones; scores rise within a group, so the order is consistent.
    """
    scored: list[tuple[float, str, int]] = []
    for group in candidates.groups:
        width = group.size
        for narrower in competing_widths(group, config):
            score = candidates.block_score(group.name, group.size - width, group.size - narrower)
            scored.append((score, group.name, narrower))
            width = narrower
    return [(name, width) for _, name, width in sorted(scored, key=lambda step: (step[0], step[1], -step[2]))]
