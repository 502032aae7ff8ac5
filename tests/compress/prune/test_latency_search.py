"""The path from wide to narrow, and the search on it, against made-up clocks that are right, biased or noisy."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.compress.prune.config import PruneConfig
from edge.compress.prune.graph import channel_graph
from edge.compress.prune.importance import norm_importance
from edge.compress.prune.latency_search import MOST_GRAPHS, PathSearch, Stop, narrowest_counts, pruning_path
from edge.compress.prune.latency_source import LatencyShare
from edge.compress.prune.predicted_latency import LayerGrid, PredictedLatency, layer_widths
from edge.compress.prune.search import Candidates
from edge.compress.prune.width_table import WidthTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

CONFIG = PruneConfig(macs_ratio=0.5, align=8, minimum=8, importance="norm")


@pytest.fixture(scope="module")
def candidates(build_fusion: Callable[..., nn.Module], fusion_inputs: Callable[..., tuple[Tensor, ...]]) -> Candidates:
    model = build_fusion()
    graph = channel_graph(model, fusion_inputs())
    return Candidates(graph, graph.groups, norm_importance(model, graph))


def by_widths(candidates: Candidates) -> PredictedLatency:
    """A clock for which a layer takes the product of its two widths, a millionth each."""
    gone = candidates.positions_gone(narrowest_counts(candidates, CONFIG))
    grids = []
    for use in candidates.graph.uses:
        low = layer_widths(candidates, use, gone, narrowest_counts(candidates, CONFIG))
        full = layer_widths(candidates, use, {}, {})
        into, out = (tuple(sorted({a, b})) for a, b in zip(low, full, strict=True))
        grids.append(LayerGrid(use, into, out, np.outer(into, out).astype(np.float64) * 1e-6))
    return PredictedLatency(candidates, tuple(grids), WidthTable(source="measured:x", precision="fp32"), rest_ms=0.001)


def test_the_path_leads_down_to_the_narrowest(candidates: Candidates) -> None:
    path = pruning_path(candidates, by_widths(candidates), CONFIG)
    assert path[0] == Stop({}, 1.0)
    assert path[-1].counts == narrowest_counts(candidates, CONFIG)
    sizes = {group.name: group.size for group in candidates.groups}
    for before, after in pairwise(path):
        assert after.share <= before.share
        narrower = {n for n in sizes if after.counts.get(n, sizes[n]) < before.counts.get(n, sizes[n])}
        assert len(narrower) == 1
        assert all(after.counts[n] % 8 == 0 for n in narrower)


def test_what_costs_much_and_matters_little_goes_first(candidates: Candidates) -> None:
    """One group is made a hundred times slower a channel than the others, another one nearly worthless."""
    predicted = by_widths(candidates)
    slow = next(group for group in candidates.groups if "mix.0.weight" in group.name)
    grids = tuple(
        LayerGrid(g.use, g.entering, g.leaving, g.ms * (100 if g.use.weight == "mix.0.weight" else 1))
        for g in predicted.grids
    )
    path = pruning_path(candidates, PredictedLatency(candidates, grids, predicted.table), CONFIG)
    touching = {slow.name} | {g.name for g in candidates.groups if any(s.path == "mix.0.weight" for s in g.slots)}
    assert set(path[1].counts) <= touching

    scores = {name: score.clone() for name, score in candidates.scores.items()}
    other = next(g for g in candidates.groups if g.name not in touching and g.size > 8)
    scores[other.name][: other.size // 2] = 1e-12
    worthless = Candidates(candidates.graph, candidates.groups, scores)
    path = pruning_path(worthless, by_widths(worthless), CONFIG)
    assert list(path[1].counts) == [other.name]


def falling(length: int, seed: int) -> list[Stop]:
    shares = np.sort(np.random.default_rng(seed).uniform(0.1, 1.0, length - 1))[::-1]
    return [Stop({}, 1.0), *(Stop({"g": length - i}, float(share)) for i, share in enumerate(shares))]


@settings(deadline=None, max_examples=200)
@given(
    length=st.integers(2, 60),
    seed=st.integers(0, 1000),
    power=st.floats(0.3, 2.5),
    width=st.floats(0, 0.05),
    target=st.floats(0.05, 0.99),
)
def test_the_search_ends_at_a_stop_that_holds_or_says_that_none_does(
    length: int, seed: int, power: float, width: float, target: float
) -> None:
    """Real shares are a bent form of the predicted ones, with an interval around them."""
    path = falling(length, seed)
    truth = {stop.counts.get("g", 0): stop.share**power for stop in path}

    def share_of(counts: Mapping[str, int]) -> LatencyShare:
        ratio = truth[counts["g"]]
        return LatencyShare(ratio, (ratio - width, ratio + width), 1.0, ratio)

    search = PathSearch(path, target, 0.03, share_of)
    found = search.run()
    assert len(search.found) <= MOST_GRAPHS
    holding = [i for i in range(1, length) if share_of(path[i].counts).holds(target)]
    if found is None:
        assert holding == []
        assert length - 1 in search.found  # the error can name it
        return
    assert found in holding
    assert search.found[found].holds(target)
    if len(search.found) < MOST_GRAPHS:  # then it is the first, or as near as was asked for
        assert found == holding[0] or search.found[found].interval[1] >= target * 0.97


def test_a_right_prediction_needs_few_graphs() -> None:
    path = [Stop({}, 1.0), *(Stop({"g": i}, 1 - i / 100) for i in range(1, 90))]
    search = PathSearch(path, 0.6, 0.03, lambda c: LatencyShare(1 - c["g"] / 100, (1 - c["g"] / 100,) * 2, 1, 1))
    found = search.run()
    assert found is not None
    assert 0.6 * 0.97 <= path[found].share <= 0.6
    assert len(search.found) == 1


def test_grids_interpolate_and_never_fall(candidates: Candidates) -> None:
    grid = LayerGrid(candidates.graph.uses[0], (8, 16), (8, 24), np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert grid.at(8, 8) == 1
    assert grid.at(16, 24) == 5
    assert grid.at(12, 16) == pytest.approx((1.5 + 4) / 2)


def test_only_a_whole_interval_below_the_target_holds() -> None:
    share = LatencyShare(0.5, (0.45, 0.55), 2.0, 1.0)
    assert share.holds(0.55)
    assert not share.holds(0.549)
