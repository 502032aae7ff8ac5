"""The proof before pruning: half of each group's channels go, and the outputs must be those of zeroed consumers.

The graph says what forward did in the example, not how its Python computes it: a width written as a number
(`x.view(b, 64, -1)`) looks like one read from a shape. So each group is tried on the model itself.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from edge.compress.aten_graph import call, evaluation_copy, tensors_of
from edge.compress.prune.graph import cuts_of
from edge.compress.prune.surgery import shrink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from edge.compress.aten_graph import Inputs
    from edge.compress.prune.channels import Labels
    from edge.compress.prune.graph import ChannelGraph, ChannelGroup

logger = logging.getLogger(__name__)
TOLERANCE = 1e-3  # of the largest output: sums over fewer channels round differently, a wrong channel is 1000x that


def without_failures(model: nn.Module, example_inputs: Inputs, graph: ChannelGraph) -> ChannelGraph:
    """The graph without the groups that the model's own code cannot lose; those become blocked with the reason.

    Args:
        model: What is to be pruned.
        example_inputs: As for `channel_graph`.
        graph: From `channel_graph` with the same model and inputs.
    """
    stirred = _stirred(model)
    if _failure(stirred, example_inputs, graph, graph.groups) is None:
        return graph
    blocked = dict(graph.blocked)
    sound = []
    for group in graph.groups:
        failure = _failure(stirred, example_inputs, graph, (group,))
        if failure is None:
            sound.append(group)
            continue
        logger.info("%s is not pruned: %s", group.name, failure)
        blocked.update({slot.path: failure for slot in group.slots if not slot.consumes})
    return _together(stirred, example_inputs, replace(graph, groups=tuple(sound), blocked=blocked))


def _together(model: nn.Module, inputs: Inputs, graph: ChannelGraph) -> ChannelGraph:
    """Groups that pass alone must pass together, else none is pruned."""
    failure = _failure(model, inputs, graph, graph.groups)
    if failure is None:
        return graph
    reason = f"groups that can be pruned one by one fail together: {failure}"
    blocked = {slot.path: reason for group in graph.groups for slot in group.slots if not slot.consumes}
    return replace(graph, groups=(), blocked={**graph.blocked, **blocked})


def _failure(model: nn.Module, inputs: Inputs, graph: ChannelGraph, groups: tuple[ChannelGroup, ...]) -> str | None:
    """What goes wrong when every other channel of the groups is cut."""
    kept = {group.name: np.arange(0, group.size, 2) for group in groups}
    expected = _outputs(masked(model, graph, kept), inputs)
    try:
        found = _outputs(shrink(model, cuts_of(graph, kept)), inputs)
    except Exception as error:  # whatever the model's own code raises
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        return f"the model fails without these channels ({cause})"
    if len(found) != len(expected) or any(a.shape != b.shape for a, b in zip(found, expected, strict=True)):
        return "the shape of an output changes with it"
    pairs = zip(found, expected, strict=True)
    return None if all(_near(a, b) for a, b in pairs) else "the outputs change in ways that the graph does not show"


def masked(model: nn.Module, graph: ChannelGraph, kept: Mapping[str, Labels]) -> nn.Module:
    """A copy with the original widths whose consumers ignore the removed channels: what pruning must equal."""
    copy = evaluation_copy(model)
    tensors = tensors_of(copy)
    for group in graph.groups:
        if group.name not in kept:
            continue
        gone = np.setdiff1d(np.arange(group.size), kept[group.name])
        for slot in group.slots:
            if slot.consumes:
                index = torch.as_tensor(slot.indices[gone].ravel(), device=tensors[slot.path].device)
                tensors[slot.path].data.index_fill_(slot.dim, index, 0)
    return copy


def _stirred(model: nn.Module) -> nn.Module:
    """A copy in which no parameter is constant, so that no zero-initialised scale or placeholder hides a fault."""
    copy = evaluation_copy(model)
    generator = torch.Generator().manual_seed(0)
    for parameter in copy.parameters():
        if parameter.is_floating_point() and parameter.numel() > 1:
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            spread = parameter.detach().std()
            parameter.data += noise * (0.1 if spread == 0 else 0.01 * spread)
    return copy


def _outputs(model: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    with torch.no_grad():
        leaves: list[Any] = tree_leaves(call(model, inputs))
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _near(first: torch.Tensor, second: torch.Tensor) -> bool:
    if not first.is_floating_point():
        return bool((first == second).float().mean() > 0.99) if first.numel() else True
    if not second.numel():
        return True
    allowed = max(TOLERANCE, 32 * torch.finfo(second.dtype).eps) * max(float(second.abs().max()), 1e-12)
    return bool(((first - second).abs() <= allowed).all())
