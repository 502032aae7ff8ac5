"""Groups of channels that must be removed together, found on the exported graph of a model."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.compress.aten_graph import export
from edge.compress.mac_count import LayerMacs, layer_macs
from edge.compress.prune import layer_rules, pointwise_rules, shape_rules
from edge.compress.prune.channels import FIXED
from edge.compress.prune.layer_shapes import LayerUse, layer_uses
from edge.compress.prune.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn
    from torch.export import ExportedProgram

    from edge.compress.aten_graph import Inputs
    from edge.compress.prune.channels import Labels

logger = logging.getLogger(__name__)
RULES = {**pointwise_rules.RULES, **shape_rules.RULES, **layer_rules.RULES}


@dataclass(frozen=True)
class Slot:
    """Where a group's channels lie in one dimension of one tensor.

    Attributes:
        path: Parameter or buffer.
        dim: Its dimension.
        indices: int64 `[channels, k]`: the k positions of each channel (k > 1 behind a flatten, for example).
        consumes: The dimension is summed over, so that zeros there equal an absent channel.
    """

    path: str
    dim: int
    indices: Labels
    consumes: bool


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are alike: each occupies the same dimensions of the same tensors.

    Attributes:
        name: The first tensor that makes these channels, with the dimension and the first index; unique.
        size: Number of channels.
        slots: All dimensions that shrink when a channel goes.
    """

    name: str
    size: int
    slots: tuple[Slot, ...]

    @property
    def unit(self) -> int:
        """Positions that one channel takes where it is made: the width of a head, the number of convolution groups."""
        made = [slot for slot in self.slots if not slot.consumes] or self.slots
        return min(int(slot.indices.shape[1]) for slot in made)


@dataclass(frozen=True)
class ChannelGraph:
    """What may be pruned, what may not and why, and what the layers cost.

    Attributes:
        groups: Prunable groups, in the order of the graph.
        blocked: Tensor path to the reason why its own channels stay.
        shapes: Shape of every parameter and buffer of the graph.
        layers: Cost of each call.
        uses: What each of them computes, for its latency.
    """

    groups: tuple[ChannelGroup, ...]
    blocked: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    layers: tuple[LayerMacs, ...]
    uses: tuple[LayerUse, ...] = ()


def channel_graph(model: nn.Module, example_inputs: Inputs) -> ChannelGraph:
    """Finds the channel groups of a model.

    Args:
        model: Any module that torch.export takes.
        example_inputs: Positional arguments of forward, or its keyword arguments by name.

    Raises:
        ModelError: The model does not export.
    """
    program = export(model, example_inputs)
    program.graph_module.graph.eliminate_dead_code()  # what is computed for nothing holds no channel back
    walk = Walk()
    walk.run(program, RULES)
    layers = tuple(layer_macs(program))
    groups, blocked = _collect(walk, {layer.weight for layer in layers})
    for path, reason in blocked.items():
        logger.info("%s is not pruned: %s", path, reason)
    shapes = {path: tuple(map(len, dims)) for path, dims in walk.parameters.items()}
    return ChannelGraph(groups, blocked, shapes, layers, _uses(program, walk, groups))


def _uses(program: ExportedProgram, walk: Walk, groups: Sequence[ChannelGroup]) -> tuple[LayerUse, ...]:
    """All layers; a product of two computed tensors is told which group its matrices belong to."""
    group_of = {}
    for group in groups:
        slot = group.slots[0]
        for root in walk.channels.classes(walk.parameters[slot.path][slot.dim][slot.indices]).ravel().tolist():
            group_of[root] = group.name
    batches = {node.name: walk.dims(node)[:-2] for node in program.graph.nodes}
    uses = []
    for use in layer_uses(program):
        roots = (int(root) for labels in batches[use.node] for root in walk.channels.classes(labels))
        heads = next((group_of[root] for root in roots if root in group_of), None)
        uses.append(use if use.weight else replace(use, heads=heads))
    return tuple(uses)


def _collect(walk: Walk, weights: set[str | None]) -> tuple[tuple[ChannelGroup, ...], dict[str, str]]:
    """Classes of labels to groups: classes with the same signature are the channels of one group."""
    members: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    blocked: dict[str, str] = {}
    for path, dims in walk.parameters.items():
        for dim, labels in enumerate(dims):
            for index, root in enumerate(walk.channels.classes(labels).tolist()):
                reason = walk.channels.reason(root)
                if root != FIXED and reason is None:
                    members[root].append((path, dim, index))
                elif reason is not None and (path, dim) not in walk.consumers:
                    blocked.setdefault(path, reason)
    alike: dict[tuple[tuple[str, int], ...], list[list[tuple[str, int, int]]]] = defaultdict(list)
    for places in members.values():
        alike[tuple((path, dim) for path, dim, _ in places)].append(places)
    return tuple(_group(key, channels, walk, weights) for key, channels in alike.items()), blocked


def _group(
    key: Sequence[tuple[str, int]],
    channels: Sequence[Sequence[tuple[str, int, int]]],
    walk: Walk,
    weights: set[str | None],
) -> ChannelGroup:
    columns: dict[tuple[str, int], list[int]] = defaultdict(list)
    for column, place in enumerate(key):
        columns[place].append(column)
    table = np.array([[index for _, _, index in places] for places in channels], dtype=np.int64)
    slots = tuple(
        Slot(path, dim, table[:, chosen], (path, dim) in walk.consumers) for (path, dim), chosen in columns.items()
    )
    made = [slot for slot in slots if not slot.consumes] or list(slots)
    maker = next((slot for slot in made if slot.path in weights), made[0])
    return ChannelGroup(f"{maker.path}[{maker.dim},{maker.indices.min()}]", len(channels), slots)


def cuts_of(graph: ChannelGraph, kept: Mapping[str, Labels]) -> dict[str, dict[int, list[int]]]:
    """Indices that stay, by tensor path and dimension.

    Args:
        graph: The model's groups.
        kept: Group name to the channels that stay; groups that are absent stay whole.
    """
    removed: dict[tuple[str, int], list[Labels]] = defaultdict(list)
    for group in graph.groups:
        if group.name in kept and len(kept[group.name]) < group.size:
            gone = np.setdiff1d(np.arange(group.size), kept[group.name])
            for slot in group.slots:
                removed[slot.path, slot.dim].append(slot.indices[gone].ravel())
    cuts: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for (path, dim), parts in removed.items():
        everything = np.arange(graph.shapes[path][dim])
        cuts[path][dim] = np.setdiff1d(everything, np.concatenate(parts)).tolist()
    return dict(cuts)
