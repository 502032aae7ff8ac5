"""Bias correction: takes back the mean error that INT8 brings to each output channel of a layer.

The error of a layer is looked at locally, on float inputs quantized as they will be, so that one pass over
the calibration set serves all layers (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", 2019, the empirical variant).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from edge.compress.quantize.observers import ActivationObserver, PerChannelWeightObserver
from edge.compress.quantize.placement import WEIGHTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def correct_biases(prepared: GraphModule, batches: Iterable[tuple[Tensor, ...]]) -> int:
    """Shifts the biases of a prepared and calibrated graph, before `convert_pt2e`.

    Layers without a bias, and those that share one, are left as they are.

    Returns:
        How many layers were corrected.
    """
    layers = [n for n in prepared.graph.nodes if _is_correctable(prepared, n)]
    watcher = _ErrorWatcher(prepared, layers)
    for inputs in batches:
        watcher.run(*inputs)
    for node in layers:
        path = str(node.all_input_nodes[2].target)
        bias = _attribute(prepared, path)
        shift = watcher.sums[node] / watcher.counts[node]
        owner, _, name = path.rpartition(".")
        corrected = nn.Parameter(bias - shift.to(bias.dtype), requires_grad=False)
        setattr(prepared.get_submodule(owner), name, corrected)
    return len(layers)


class _ErrorWatcher(Interpreter):
    """Runs the float graph and sums, per output channel, how far each layer's INT8 result is off."""

    def __init__(self, prepared: GraphModule, layers: list[Node]) -> None:
        super().__init__(prepared)
        self.sums: dict[Node, Tensor] = {}
        self.counts: dict[Node, int] = dict.fromkeys(layers, 0)
        self._scales = {node: _scales(prepared, node) for node in layers}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self.counts:
            values, weight, *others = self.fetch_args_kwargs_from_env(n)[0]
            activation_scale, weight_scales = self._scales[n]
            rounded = _round_to_grid(values, activation_scale, -128)
            shape = (-1, *[1] * (weight.ndim - 1))
            layer = cast("Callable[..., Tensor]", n.target)
            quantized = layer(rounded, _round_to_grid(weight, weight_scales.reshape(shape), -127), *others)
            error = (quantized - result).double()
            channels = error.movedim(-1 if _is_linear(n) else 1, 0).flatten(1)
            self.sums[n] = self.sums.get(n, torch.zeros(())) + channels.sum(1)
            self.counts[n] += channels.shape[1]
        return result


def _is_linear(node: Node) -> bool:
    return node.target is torch.ops.aten.linear.default


def _is_correctable(model: GraphModule, node: Node) -> bool:
    if node.target not in WEIGHTED or len(node.all_input_nodes) < 3:
        return False
    values, weight, bias = node.all_input_nodes[:3]
    quantized = isinstance(_module(model, values), ActivationObserver)
    quantized = quantized and isinstance(_module(model, weight), PerChannelWeightObserver)
    return quantized and bias.op == "get_attr" and len(bias.users) == 1


def _module(model: GraphModule, node: Node) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _scales(model: GraphModule, node: Node) -> tuple[Tensor, Tensor]:
    values, weight = (_module(model, n) for n in node.all_input_nodes[:2])
    assert isinstance(values, ActivationObserver) and isinstance(weight, PerChannelWeightObserver)
    # The weight's observer has seen the weight: calibration runs it like any other.
    return values.calculate_qparams()[0], weight.calculate_qparams()[0]


def _round_to_grid(values: Tensor, scale: Tensor, lowest: int) -> Tensor:
    return (values / scale).round().clamp(lowest, 127) * scale


def _attribute(model: GraphModule, path: str) -> Tensor:
    owner, _, name = path.rpartition(".")
    found = getattr(model.get_submodule(owner), name)
    assert isinstance(found, Tensor)
    return found
