"""Bias correction: takes back the mean error that INT8 brings to each output channel of a layer.

The error of a layer is looked at locally, on float inputs quantized as they will be, so that one pass over
the calibration set serves all layers (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", 2019, the empirical variant).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from edge.compress.quantize.parameters import parameter_of, set_parameter
from edge.compress.quantize.prepared_graph import prepared_layers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.compress.quantize.prepared_graph import PreparedLayer


def correct_biases(prepared: GraphModule, batches: Iterable[tuple[Tensor, ...]]) -> int:
    """Shifts the biases of a prepared and calibrated graph, before `convert_pt2e`.

    Layers without a bias, and those that share one, are left as they are.

    Returns:
        How many layers were corrected.
    """
    layers = {node: layer for node, layer in prepared_layers(prepared).items() if layer.bias is not None}
    watcher = _ErrorWatcher(prepared, layers)
    for inputs in batches:
        watcher.run(*inputs)
    for node, layer in layers.items():
        assert layer.bias is not None
        bias = parameter_of(prepared, layer.bias)
        set_parameter(prepared, layer.bias, bias - (watcher.sums[node] / watcher.counts[node]).to(bias.dtype))
    return len(layers)


class _ErrorWatcher(Interpreter):
    """Runs the float graph and sums, per output channel, how far each layer's INT8 result is off."""

    def __init__(self, prepared: GraphModule, layers: dict[Node, PreparedLayer]) -> None:
        super().__init__(prepared)
        self.sums: dict[Node, Tensor] = {}
        self.counts: dict[Node, int] = dict.fromkeys(layers, 0)
        self._layers = layers

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        layer = self._layers.get(n)
        if layer is not None:
            values, weight, *others = self.fetch_args_kwargs_from_env(n)[0]
            quantized = layer.compute(layer.round_input(values), layer.round_weight(weight), *others)
            channels = layer.by_channel((quantized - result).double())
            self.sums[n] = self.sums.get(n, torch.zeros(())) + channels.sum(1)
            self.counts[n] += channels.shape[1]
        return result
