"""Runs calibration samples through a prepared graph: every observer is told its layer, and which samples it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.compress.quantize.observers import ActivationObserver, RunningSamples
from edge.compress.quantize.placement import module_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor
    from torch.fx import GraphModule, Node


def observe(
    prepared: GraphModule,
    batches: Iterable[tuple[Tensor, ...]],
    ids: Sequence[str] = (),
    first: int = 0,
    inputs: Sequence[str] = (),
) -> int:
    """Runs the batches; what the observers find does not depend on how the samples are batched.

    Args:
        prepared: By `prepare_pt2e` with `PlacementQuantizer`.
        batches: Inputs, `[B, ...]` each.
        ids: Names of the samples, for messages; their places where there are none.
        first: Place of the first sample in the calibration set: other processes may run the samples before it.
        inputs: Names of the model's inputs, for messages.

    Returns:
        How many samples were run.

    Raises:
        DataError: An activation is NaN or infinite; the message names layer and sample.
    """
    watched = observed_tensors(prepared, inputs)
    done = 0
    for name, observer in watched.items():
        observer.layer = name
    try:
        for batch in batches:
            places = range(done, done + len(batch[0]))
            names = tuple(ids[i] if i < len(ids) else str(first + i) for i in places)
            for observer in watched.values():
                observer.batch = RunningSamples(first + done, names)
            with torch.no_grad():
                prepared(*batch)
            done = places.stop
    finally:
        for observer in watched.values():
            observer.batch = None
    return done


def observed_tensors(prepared: GraphModule, inputs: Sequence[str] = ()) -> dict[str, ActivationObserver]:
    """The observers of a prepared graph by what they watch, in the graph's order; a group's by its first tensor.

    A tensor's name is the path of the innermost module that makes it. Where a module makes several, the operator
    follows: `encoder.block/relu_1`.

    Args:
        prepared: By `prepare_pt2e` with `PlacementQuantizer`.
        inputs: Names of the model's inputs; those of its arguments by default.
    """
    arguments = [node for node in prepared.graph.nodes if node.op == "placeholder"]
    given = dict(zip(arguments, inputs, strict=False))
    makers: dict[ActivationObserver, Node] = {}
    for node in prepared.graph.nodes:
        module = prepared.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, ActivationObserver):
            makers.setdefault(module, node.all_input_nodes[0])
    paths = {o: given.get(maker) or (module_paths(maker) or (maker.name,))[-1] for o, maker in makers.items()}
    seen = list(paths.values())
    return {
        path if seen.count(path) == 1 else f"{path}/{makers[observer].name}": observer
        for observer, path in paths.items()
    }
