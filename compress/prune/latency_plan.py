"""From a latency target to a pruning plan: the clock, the layers' latencies by width, the search, and the proof."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from edge.compress.aten_graph import call, evaluation_copy
from edge.compress.export import export_onnx
from edge.compress.prune.latency_search import PathSearch, narrowest_counts, pruning_path
from edge.compress.prune.plan import PlanLatency, PruningPlan, apply
from edge.compress.prune.predicted_latency import predict_latency
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    import onnx

    from edge.compress.aten_graph import Inputs
    from edge.compress.prune.config import LatencyTarget, PruneConfig
    from edge.compress.prune.latency_source import LatencyShare, LatencySource
    from edge.compress.prune.search import Candidates

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
    model: nn.Module, inputs: Inputs, candidates: Candidates, config: PruneConfig, source: LatencySource
) -> PruningPlan:
    """The plan that loses the least importance among those found to hold the latency target.

    Args:
        model: What the plan is for.
        inputs: Example at batch 1.
        candidates: Its groups.
        config: With a latency target.
        source: The clock that the target names.

    Raises:
        ConfigError: The target is out of reach (the least that is reachable is named), or already held.
        ModelError: The model does not become an ONNX graph.
    """
    target = config.latency
    assert target is not None
    before = timed_graph(model, inputs)
    ratio = _target_ratio(target, source, before)
    narrowest = narrowest_counts(candidates, config)
    path_of_table = Path(target.width_table) if target.width_table else None
    predicted = predict_latency(candidates, narrowest, source, before, path_of_table)
    path = pruning_path(candidates, predicted, config)

    def share_of(counts: Mapping[str, int]) -> LatencyShare:
        return source.share(before, timed_graph(apply(model, candidates.plan(counts)), inputs), ratio)

    search = PathSearch(path, ratio, target.slack, share_of)
    stop = search.run()
    if stop is None:
        raise _out_of_reach(target, ratio, source, search.found, config)
    share = search.found[stop]
    record = PlanLatency(
        source=source.name,
        precision=source.precision,
        target=ratio,
        ratio=share.ratio,
        interval=share.interval,
        before_ms=share.before_ms,
        after_ms=share.after_ms,
        graphs=len(search.found),
        width_table=predicted.table.digest,
    )
    logger.info("%.3f of the latency stays by %s, after %d graphs", share.ratio, source.name, len(search.found))
    return candidates.plan(path[stop].counts).model_copy(update={"latency": record})


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
