"""Structured pruning: choose the channels that matter least, under a target of width, MACs, latency or any cost."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from edge.compress.aten_graph import first_sample
from edge.compress.mac_count import macs
from edge.compress.prune.attention import separate_attention
from edge.compress.prune.config import MEASURED, PruneConfig
from edge.compress.prune.graph import ChannelGraph, channel_graph
from edge.compress.prune.importance import norm_importance, taylor_importance
from edge.compress.prune.plan import PruningPlan, apply
from edge.compress.prune.search import Candidates, search_cost, uniform_counts
from edge.compress.prune.trial import without_failures
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from edge.compress.aten_graph import Inputs
    from edge.compress.prune.graph import ChannelGroup
    from edge.compress.prune.importance import Losses
    from edge.compress.prune.latency_plan import Judge
    from edge.compress.prune.latency_source import EstimateLatency

__all__ = ["PruneConfig", "PruningPlan", "apply", "plan"]

logger = logging.getLogger(__name__)


def plan(
    model: nn.Module,
    example_inputs: Inputs,
    config: PruneConfig,
    *,
    losses: Losses | None = None,
    cost: Callable[[PruningPlan], float] | None = None,
    estimate: EstimateLatency | None = None,
    judge: Judge | None = None,
) -> PruningPlan:
    """Chooses the channels that go. The model is not changed: `apply` makes the pruned copy.

    Args:
        model: Any module that torch.export takes, with tensor inputs.
        example_inputs: Positional arguments of forward, or its keyword arguments by name; one sample is enough.
        config: Target, alignment and importance.
        losses: For `taylor`: given a model, yields the scalar loss of each batch.
        cost: For `cost_ratio`: what a plan costs. It is asked about log2(number of steps) times, and only ever
            compared with its own value for the empty plan.
        estimate: For a `latency` by `estimate:<device>`: the latency table of a graph on a device of that name.
        judge: For `rivals`: what a plan of several loses; asked about each once.

    Raises:
        ModelError: The model does not export.
        ConfigError: Nothing can be pruned, the target is out of reach (the message says what is reachable), or an
            argument that the configuration needs is missing.
        DataError: The losses are unusable.
    """
    _check_arguments(config, losses, cost, estimate, judge)
    model, separated = separate_attention(model)
    traced = example_inputs if config.latency is None else first_sample(example_inputs)  # what boards run
    graph = without_failures(model, example_inputs, channel_graph(model, traced))
    groups = _eligible(graph, config)
    scores = _scores(model, graph, config, losses)
    candidates = Candidates(graph, groups, scores, separated)
    if config.latency is not None:
        chosen = _for_latency(model, traced, candidates, config, estimate, judge)
    else:
        chosen = candidates.plan(_counts(candidates, config, cost))
    # Counted again on the pruned model: a linear layer that slides over channels has fewer positions too.
    chosen = chosen.model_copy(update={"macs_after": macs(apply(model, chosen), example_inputs)})
    pruned = sum(group.kept < group.channels for group in chosen.groups)
    logger.info("%d of %d groups pruned, %.2f of the MACs stay", pruned, len(groups), chosen.macs_ratio)
    return chosen


def _for_latency(
    model: nn.Module,
    inputs: Inputs,
    candidates: Candidates,
    config: PruneConfig,
    estimate: EstimateLatency | None,
    judge: Judge | None,
) -> PruningPlan:
    from edge.compress.prune.latency_plan import reach_latency  # exports graphs, for which it loads onnx
    from edge.compress.prune.latency_source import clock_of

    assert config.latency is not None
    return reach_latency(model, inputs, candidates, config, clock_of(config.latency, estimate), judge)


def _counts(candidates: Candidates, config: PruneConfig, cost: Callable[[PruningPlan], float] | None) -> dict[str, int]:
    """Width of each group that changes."""
    if config.ratio is not None:
        return uniform_counts(candidates.groups, config.ratio, config.align, config.minimum)
    if config.macs_ratio is not None:
        return search_cost(candidates, config.macs_ratio, candidates.macs, what="MACs", config=config, give_back=True)
    assert config.cost_ratio is not None
    assert cost is not None
    measure = cost
    return search_cost(
        candidates,
        config.cost_ratio,
        lambda counts: measure(candidates.plan(counts)),
        what="the cost",
        config=config,
        give_back=False,
    )


def _check_arguments(
    config: PruneConfig,
    losses: Losses | None,
    cost: Callable[[PruningPlan], float] | None,
    estimate: EstimateLatency | None,
    judge: Judge | None,
) -> None:
    if config.importance == "taylor" and losses is None:
        raise ConfigError("importance 'taylor' needs losses", "pass losses=..., or set importance to 'norm'")
    if config.latency is not None and config.latency.source != MEASURED and estimate is None:
        raise ConfigError(
            f"a latency target by {config.latency.source} needs estimates",
            "pass estimate=..., or use source 'measured'",
        )
    if config.rivals is not None and judge is None:
        raise ConfigError("rivals need someone who judges plans", "pass judge=..., or leave `rivals` out")
    if (config.cost_ratio is None) != (cost is None):
        raise ConfigError("cost_ratio and a cost function go together", "give both, or set ratio or macs_ratio")


def _eligible(graph: ChannelGraph, config: PruneConfig) -> tuple[ChannelGroup, ...]:
    groups = tuple(group for group in graph.groups if not _is_kept(group, config.keep))
    if not groups:
        reasons = sorted(set(graph.blocked.values()))[:3]
        raise ConfigError(
            f"no channel of this model can be pruned{': ' + '; '.join(reasons) if reasons else ''}",
            "loosen `keep`, or replace the operators that are named",
        )
    return groups


def _is_kept(group: ChannelGroup, globs: tuple[str, ...]) -> bool:
    makers = [slot.path for slot in group.slots if not slot.consumes]
    return any(fnmatchcase(path, glob) for path in makers for glob in globs)


def _scores(model: nn.Module, graph: ChannelGraph, config: PruneConfig, losses: Losses | None) -> dict[str, Tensor]:
    if config.importance == "taylor" and losses is not None:
        return taylor_importance(model, graph, losses)
    return norm_importance(model, graph)
