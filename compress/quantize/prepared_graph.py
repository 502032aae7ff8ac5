"""The weighted layers of a prepared and calibrated graph: what INT8 will make of their inputs and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from edge.compress.quantize.observers import ActivationObserver, PerChannelWeightObserver
from edge.compress.quantize.parameters import is_own
from edge.compress.quantize.placement import WEIGHTED
from edge.compress.quantize.tensor_weights import PerTensorWeightObserver

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from torch.fx import GraphModule, Node

    WeightObserver = PerChannelWeightObserver | PerTensorWeightObserver


@dataclass(frozen=True)
class PreparedLayer:
    """A convolution or linear layer whose activation and weight become INT8.

    Attributes:
        node: The layer.
        weight: The node of its float weight.
        bias: The node of its bias, where the layer has one of its own.
        activation_scale: float32 `[1]`.
        weight_scale: float32, broadcast against the weight.
        largest: The weights' largest level.
    """

    node: Node
    weight: Node
    bias: Node | None
    activation_scale: Tensor
    weight_scale: Tensor
    largest: int

    def round_input(self, values: Tensor) -> Tensor:
        """The input as INT8 gives it."""
        return (values / self.activation_scale).round().clamp(-128, 127) * self.activation_scale

    def round_weight(self, weight: Tensor) -> Tensor:
        """The weight rounded to the nearest levels."""
        return (weight / self.weight_scale).round().clamp(-self.largest, self.largest) * self.weight_scale

    def compute(self, values: Tensor, weight: Tensor, *others: Any) -> Tensor:
        """The layer's result; `others` are its remaining arguments, bias first."""
        return cast("Callable[..., Tensor]", self.node.target)(values, weight, *others)

    def by_channel(self, result: Tensor) -> Tensor:
        """A result as `[channels, values]`."""
        axis = -1 if self.node.target is torch.ops.aten.linear.default else 1
        return result.movedim(axis, 0).flatten(1)


def prepared_layers(prepared: GraphModule) -> dict[Node, PreparedLayer]:
    """The quantized layers of a prepared graph that was run on the calibration set, in its order."""
    found = (_describe(prepared, n) for n in prepared.graph.nodes if n.target in WEIGHTED)
    return {layer.node: layer for layer in found if layer is not None}


def watcher_at(model: GraphModule, node: Node) -> nn.Module | None:
    """The observer that a node calls."""
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _describe(model: GraphModule, node: Node) -> PreparedLayer | None:
    values, weight = node.all_input_nodes[:2]
    activations, weights = watcher_at(model, values), watcher_at(model, weight)
    if not isinstance(activations, ActivationObserver):
        return None
    if not isinstance(weights, PerChannelWeightObserver | PerTensorWeightObserver):
        return None
    # The weight's observer has seen the weight: calibration runs it like any other.
    scale, source = weights.calculate_qparams()[0], weight.all_input_nodes[0]
    shape = (-1, *[1] * (source.meta["val"].ndim - 1))
    bias = node.args[2] if len(node.args) > 2 else None
    own = bias if isinstance(bias, torch.fx.Node) and is_own(bias) else None
    activation_scale = activations.calculate_qparams()[0]
    return PreparedLayer(node, source, own, activation_scale, scale.reshape(shape), int(weights.quant_max))
