"""Widths that a search may choose, over random limits and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.compress.prune.config import PruneConfig
from edge.compress.prune.graph import channel_graph
from edge.compress.prune.importance import norm_importance
from edge.compress.prune.search import Candidates, search_cost, uniform_counts, widths
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


@pytest.fixture(scope="module")
def candidates(build_fusion: Callable[..., nn.Module], fusion_inputs: Callable[..., tuple[Tensor, ...]]) -> Candidates:
    model = build_fusion()
    graph = channel_graph(model, fusion_inputs())
    return Candidates(graph, graph.groups, norm_importance(model, graph))


@settings(deadline=None)
@given(size=st.integers(1, 200), align=st.integers(1, 32), minimum=st.integers(1, 64))
def test_widths(size: int, align: int, minimum: int) -> None:
    allowed = widths(size, align, minimum)
    assert allowed == sorted(allowed, reverse=True)
    assert set(allowed) == {n for n in range(minimum, size) if n % align == 0}


@settings(deadline=None)
@given(
    align=st.sampled_from([1, 2, 4, 8, 16]),
    minimum=st.integers(1, 16),
    ratio=st.floats(0.02, 0.98),
)
def test_uniform_widths_are_the_nearest_allowed(candidates: Candidates, align: int, minimum: int, ratio: float) -> None:
    try:
        counts = uniform_counts(candidates.groups, ratio, align, minimum)
    except ConfigError as error:
        assert "no group of channels gets narrower" in str(error)
        counts = {}
    for group in candidates.groups:
        kept = counts.get(group.name, group.size)
        allowed = [group.size, *widths(group.size, align, minimum)]
        assert kept in allowed
        distances = [abs(n - (1 - ratio) * group.size) for n in allowed]
        assert abs(kept - (1 - ratio) * group.size) == min(distances)


@settings(deadline=None)
@given(
    align=st.sampled_from([1, 2, 4, 8, 16]),
    minimum=st.integers(1, 16),
    target=st.floats(0.02, 0.98),
    most=st.floats(0.1, 0.95),
)
def test_search_meets_the_target_or_names_the_least(
    candidates: Candidates, align: int, minimum: int, target: float, most: float
) -> None:
    config = PruneConfig(macs_ratio=target, align=align, minimum=minimum, max_ratio=most, importance="norm")
    try:
        counts = search_cost(candidates, target, candidates.macs, what="MACs", config=config, give_back=True)
    except ConfigError as error:
        assert float(str(error).split("the least is ")[1].split(";")[0]) >= target
        return
    chosen = candidates.plan(counts)
    assert chosen.macs_ratio <= target
    for group in chosen.groups:
        assert group.kept == group.channels or (group.kept % align == 0 and group.kept >= minimum)
        assert group.kept >= np.floor((1 - most) * group.channels)


def test_search_stops_at_the_first_step_that_is_enough(candidates: Candidates) -> None:
    """One block less and the target is missed: the cost is close below it when the steps are small."""
    config = PruneConfig(macs_ratio=0.7, align=1, minimum=1, importance="norm")
    counts = search_cost(candidates, 0.7, candidates.macs, what="MACs", config=config, give_back=True)
    assert 0.695 < candidates.plan(counts).macs_ratio <= 0.7


def test_nothing_is_taken_that_the_target_does_not_need(candidates: Candidates) -> None:
    """With coarse steps the last one overshoots; every step that can be undone alone has been."""
    config = PruneConfig(macs_ratio=0.6, align=8, importance="norm")
    counts = search_cost(candidates, 0.6, candidates.macs, what="MACs", config=config, give_back=True)
    rough = search_cost(candidates, 0.6, candidates.macs, what="MACs", config=config, give_back=False)
    sizes = {group.name: group.size for group in candidates.groups}
    assert all(counts.get(name, sizes[name]) >= width for name, width in rough.items())
    assert candidates.plan(rough).macs_ratio <= candidates.plan(counts).macs_ratio <= 0.6
    for name, width in counts.items():
        wider = min(n for n in [*widths(sizes[name], 8, 8), sizes[name]] if n > width)
        assert candidates.plan({**counts, name: wider}).macs_ratio > 0.6


def test_the_most_important_channels_stay(candidates: Candidates) -> None:
    group = max(candidates.groups, key=lambda one: one.size)
    chosen = candidates.plan({group.name: 8})
    scores = candidates.scores[group.name].numpy()
    slot = next(s for s in group.slots if f"{s.path}[{s.dim}," in group.name)
    kept = np.isin(slot.indices[:, 0], chosen.kept[slot.path][slot.dim])
    assert kept.sum() == 8
    assert scores[kept].min() >= scores[~kept].max()
