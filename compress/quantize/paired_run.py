"""Runs a prepared graph twice at once, node by node over all samples: in float, and as INT8 will compute.

So each layer can be seen, once, between what the quantized layers before it give and what the float model has there,
and be changed before the layers after it run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edge.compress.quantize.observers import ActivationObserver
from edge.compress.quantize.parameters import parameter_of
from edge.compress.quantize.prepared_graph import PreparedLayer, prepared_layers, watcher_at

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Paired:
    """One value of the graph for one chunk of samples: the same object twice, as long as nothing was rounded."""

    exact: Any
    rounded: Any


@dataclass(frozen=True)
class LayerChoice:
    """What a layer computes with in INT8: a weight on its levels, and a bias."""

    weight: Tensor
    bias: Any


LayerVisitor = Callable[[PreparedLayer, "list[tuple[Any, ...]]", "list[Tensor]"], LayerChoice]


class PairedRun:
    """One run over the samples.

    Args:
        prepared: A prepared graph that was run on the calibration set; its observers see nothing more.
        visit: Called with each quantized layer, the arguments of its INT8 call for every chunk (input on its levels,
            float weight, bias, ...) and its float results; says what it computes with.
    """

    def __init__(self, prepared: GraphModule, visit: LayerVisitor) -> None:
        self._model = prepared
        self._visit = visit
        self._layers = prepared_layers(prepared)

    def run(self, chunks: Sequence[tuple[Tensor, ...]]) -> None:
        """Goes through the graph once; a value is dropped as soon as nothing reads it any more."""
        values: dict[Node, list[Paired]] = {}
        placeholders = [n for n in self._model.graph.nodes if n.op == "placeholder"]
        last = {node: user for user in self._model.graph.nodes for node in user.all_input_nodes}
        for node in self._model.graph.nodes:
            if node.op == "output":
                break
            if node.op == "placeholder":
                index = placeholders.index(node)
                values[node] = [Paired(inputs[index], inputs[index]) for inputs in chunks]
            elif node in self._layers:
                values[node] = self._layer(node, values, len(chunks))
            else:
                values[node] = [self._step(node, values, i) for i in range(len(chunks))]
            for read in node.all_input_nodes:
                if last[read] is node:
                    del values[read]

    def _layer(self, node: Node, values: dict[Node, list[Paired]], chunks: int) -> list[Paired]:
        layer = self._layers[node]
        exact = [node.target(*self._arguments(node.args, values, i, exact=True)) for i in range(chunks)]  # type: ignore[operator]
        calls = [tuple(self._arguments(node.args, values, i, exact=False)) for i in range(chunks)]
        choice = self._visit(layer, calls, exact)
        rounded = [layer.compute(call[0], choice.weight, choice.bias, *call[3:]) for call in calls]
        return [Paired(*pair) for pair in zip(exact, rounded, strict=True)]

    def _step(self, node: Node, values: dict[Node, list[Paired]], chunk: int) -> Paired:
        if node.op == "get_attr":
            found = parameter_of(self._model, node)
            return Paired(found, found)
        observer = watcher_at(self._model, node)
        if observer is not None and node.args and isinstance(node.args[0], Node):
            value = values[node.args[0]][chunk]
            return _rounded(observer, value) if isinstance(observer, ActivationObserver) else value
        compute = node.target if observer is None else observer
        exact = compute(*self._arguments(node.args, values, chunk, exact=True), **node.kwargs)  # type: ignore[operator]
        reads = [values[n][chunk] for n in node.all_input_nodes]
        if all(value.exact is value.rounded for value in reads):
            return Paired(exact, exact)
        return Paired(exact, compute(*self._arguments(node.args, values, chunk, exact=False), **node.kwargs))  # type: ignore[operator]

    def _arguments(self, args: Any, values: dict[Node, list[Paired]], chunk: int, *, exact: bool) -> Any:
        def value_of(node: Node) -> Any:
            value = values[node][chunk]
            return value.exact if exact else value.rounded

        return torch.fx.map_arg(args, value_of)


def _rounded(observer: ActivationObserver, value: Paired) -> Paired:
    scale = observer.calculate_qparams()[0]
    return Paired(value.exact, (value.rounded / scale).round().clamp(-128, 127) * scale)
