"""From a latency target to a pruning plan: the clock, the layers' latencies by width, the search, and the proof."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from edge.compress.aten_graph import call, evaluation_copy
from edge.compress.export import export_onnx
from edge.compress.prune.latency_search import PathSearch, narrowest_counts, rival_paths
from edge.compress.prune.plan import PlanLatency, PruningPlan, Rival, apply
from edge.compress.prune.predicted_latency import predict_latency
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    import onnx

    from edge.compress.aten_graph import Inputs
    from edge.compress.prune.config import LatencyTarget, PruneConfig
    from edge.compress.prune.latency_source import LatencyShare, LatencySource
    from edge.compress.prune.search import Candidates

# Of a plan, what it loses: by whatever the caller compares plans of one latency.
Judge = Callable[[PruningPlan], float]

logger = logging.getLogger(__name__)


class FlatModel(nn.Module):
    """A model with positional tensor inputs and a tuple of tensors as its output, whatever it takes and gives.

    Args:
        model: Not changed; a copy in evaluation mode runs.
        names: Of its keyword arguments; None where it takes positional ones.
    """

    def __init__(self, model: nn.Module, names: tuple[str, ...] | None) -> None:
        super().__init__()
        self.model, self._names = evaluation_copy(model), names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors in the order of the example."""
        inputs: Inputs = tensors if self._names is None else dict(zip(self._names, tensors, strict=True))
        leaves: list[Any] = tree_leaves(call(self.model, inputs))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


def timed_graph(model: nn.Module, inputs: Inputs) -> onnx.ModelProto:
    """The ONNX graph of a model, for a clock.

    Raises:
        ModelError: It does not export.
    """
    names = tuple(inputs) if isinstance(inputs, Mapping) else None
    tensors: tuple[Any, ...] = tuple(inputs.values() if isinstance(inputs, Mapping) else inputs)
    flat = FlatModel(model, names)
    outputs = len(flat(*tensors))
    given = [f"input_{index}" for index in range(len(tensors))]
    return export_onnx(flat, tensors, given, [f"output_{index}" for index in range(outputs)])


def reach_latency(
    model: nn.Module,
    inputs: Inputs,
    candidates: Candidates,
    config: PruneConfig,
    source: LatencySource,
    judge: Judge | None = None,
) -> PruningPlan:
    """The plan that loses the least importance among those found to hold the latency target, or the best of rivals.

    Args:
        model: What the plan is for.
        inputs: Example at batch 1.
        candidates: Its groups.
        config: With a latency target.
        source: The clock that the target names.
        judge: What a plan loses; asked where the configuration has rivals, about those that keep different channels.

    Raises:
        ConfigError: The target is out of reach (the least that is reachable is named), or already held.
        ModelError: The model does not become an ONNX graph.
    """
    target = config.latency
    assert target is not None
    before = timed_graph(model, inputs)
    ratio = _target_ratio(target, source, before)
    table_path = Path(target.width_table) if target.width_table else None
    predicted = predict_latency(candidates, narrowest_counts(candidates, config), source, before, table_path)

    def share_of(counts: Mapping[str, int]) -> LatencyShare:
        return source.share(before, timed_graph(apply(model, candidates.plan(counts)), inputs), ratio)

    paths = rival_paths(candidates, predicted, config)
    searches = {name: PathSearch(path, ratio, target.slack, share_of) for name, path in paths.items()}
    holding = _holding(searches)
    if not holding:
        raise _out_of_reach(target, ratio, source, next(iter(searches.values())).found, config)
    record = {
        "source": source.name,
        "precision": source.precision,
        "target": ratio,
        "graphs": sum(len(search.found) for search in searches.values()),
        "width_table": predicted.table.digest,
    }
    plans = {name: _recorded(candidates, found, record) for name, found in holding.items()}
    return _best(plans, holding, judge) if config.rivals and judge else next(iter(plans.values()))


def _holding(searches: Mapping[str, PathSearch]) -> dict[str, tuple[Mapping[str, int], LatencyShare]]:
    """Widths that hold the target and what they take, by path; paths that end at the same widths count once."""
    found: dict[str, tuple[Mapping[str, int], LatencyShare]] = {}
    for name, search in searches.items():
        stop = search.run()
        if stop is None:
            logger.warning("no stop of the path '%s' holds the latency", name)
        elif search.path[stop].counts not in [counts for counts, _ in found.values()]:
            found[name] = search.path[stop].counts, search.found[stop]
    return found


def _recorded(
    candidates: Candidates, found: tuple[Mapping[str, int], LatencyShare], record: Mapping[str, Any]
) -> PruningPlan:
    counts, share = found
    latency = PlanLatency(
        ratio=share.ratio, interval=share.interval, before_ms=share.before_ms, after_ms=share.after_ms, **record
    )
    logger.info("%.3f of the latency stays by %s", share.ratio, latency.source)
    return candidates.plan(counts).model_copy(update={"latency": latency})


def _best(
    plans: Mapping[str, PruningPlan], holding: Mapping[str, tuple[Mapping[str, int], LatencyShare]], judge: Judge
) -> PruningPlan:
    """The plan that loses least, with all that it was compared with in its record."""
    rivals = [
        Rival(path=name, ratio=share.ratio, kept=dict(counts), loss=judge(plans[name]))
        for name, (counts, share) in holding.items()
    ]
    rivals.sort(key=lambda rival: rival.loss)
    for rival in rivals:
        logger.info("rival '%s' at %.3f of the latency: loss %.4g", rival.path, rival.ratio, rival.loss)
    best = plans[rivals[0].path]
    assert best.latency is not None
    return best.model_copy(update={"latency": best.latency.model_copy(update={"rivals": tuple(rivals)})})


def _target_ratio(target: LatencyTarget, source: LatencySource, graph: onnx.ModelProto) -> float:
    if target.ratio is not None:
        return target.ratio
    assert target.max_ms is not None
    unpruned = source.usual_ms(graph)
    if target.max_ms >= unpruned:
        raise ConfigError(
            f"the unpruned graph takes {unpruned:.3g} ms by {source.name}, within max_ms {target.max_ms:g} already",
            "lower max_ms, or leave pruning out",
        )
    return target.max_ms / unpruned


def _out_of_reach(
    target: LatencyTarget, ratio: float, source: LatencySource, found: Mapping[int, LatencyShare], config: PruneConfig
) -> ConfigError:
    """Names the least of all graphs that were timed; the narrowest is one of them."""
    least = min(found.values(), key=lambda share: share.interval[1], default=None)
    limits = f"with align {config.align}, minimum {config.minimum} and max_ratio {config.max_ratio:g}"
    if least is None:
        return ConfigError(f"{limits} no group of channels gets narrower", "loosen those three or `keep`")
    reachable = np.ceil(least.interval[1] * 1000) / 1000
    asked = f"{ratio:g} of the original" if target.max_ms is None else f"{target.max_ms:g} ms"
    return ConfigError(
        f"the latency cannot go down to {asked} by {source.name}: {limits} the least is {reachable:g} of the original, "
        f"{least.after_ms:.3g} ms",
        "raise the target to that, or loosen those three or `keep`",
    )
