"""Cross-layer equalisation: channels of neighbouring layers rescaled so that one scale a tensor fits them all.

A channel's factor `s` divides the row of the first layer and multiplies what the second reads: `relu(x / s) * s` is
`relu(x)`, so the float function stays (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", 2019). Their factors come from the weights of both layers. But where weights have a scale a channel, as
here, it is the activation between the two that suffers from badly scaled channels, and its range is in the
calibration set: `activations` balances that range against the weights which read the channel, as SmoothQuant does for
transformers (Xiao et al., 2023). A depthwise kernel has a scale of its own for each channel and takes any factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from edge.compress.quantize.channel_axes import along_inputs, along_outputs, groups_of, input_ranges, output_ranges
from edge.compress.quantize.pairing import LayerPair, layer_pairs
from edge.compress.quantize.parameters import parameter_of, set_parameter
from edge.compress.quantize.placement import CONVOLUTIONS, TRANSPOSED

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROUNDS = 20  # the paper's: a layer in the middle belongs to two pairs
_SETTLED = 1e-3
_DEAD = 1e-3  # of the largest range: channels below are treated as that large, so that noise is not blown up


def equalize_layers(
    model: GraphModule, batches: Iterable[tuple[Tensor, ...]], by: Literal["weights", "activations"]
) -> int:
    """Rescales an exported float graph in place; batch norms must be folded.

    Args:
        model: The graph.
        batches: Calibration inputs; looked at for `activations` only.
        by: What the first layer's side is measured by.

    Returns:
        How many pairs of layers were equalised.
    """
    pairs = layer_pairs(model)
    ranges = _channel_peaks(model, pairs, batches) if by == "activations" else {}
    for _round in range(_ROUNDS if pairs else 0):
        largest = 0.0
        for pair in pairs:
            factors = _factors(model, pair, ranges.get(pair.between))
            _rescale(model, pair, factors)
            if pair.between in ranges:
                ranges[pair.between] = ranges[pair.between] / factors
            largest = max(largest, float(factors.log().abs().max()))
        if largest < _SETTLED:
            break
    return len(pairs)


def _factors(model: GraphModule, pair: LayerPair, peaks: Tensor | None) -> Tensor:
    weight = parameter_of(model, _weight(pair.second))
    read = input_ranges(pair.second, weight, pair.channels * pair.spread)
    read = _floored(read.reshape(pair.channels, -1).amax(1))
    if peaks is None:
        made = output_ranges(pair.first, parameter_of(model, _weight(pair.first)), pair.channels)
        return (_floored(made) / read).sqrt()
    factors = _floored(peaks) / (1 if _is_depthwise(pair.second, pair.channels) else read)
    factors = factors if _is_depthwise(pair.second, pair.channels) else factors.sqrt()
    return factors / factors.log().mean().exp()


def _floored(ranges: Tensor) -> Tensor:
    largest = float(ranges.max())
    return ranges.clamp_min(largest * _DEAD) if largest > 0 else torch.ones_like(ranges)


def _is_depthwise(layer: Node, channels: int) -> bool:
    convolves = layer.target in CONVOLUTIONS - TRANSPOSED
    return convolves and groups_of(layer) == channels


def _rescale(model: GraphModule, pair: LayerPair, factors: Tensor) -> None:
    made, read = _weight(pair.first), _weight(pair.second)
    weight = parameter_of(model, made)
    set_parameter(model, made, weight / along_outputs(pair.first, weight, factors))
    bias = pair.first.args[2] if len(pair.first.args) > 2 else None
    if isinstance(bias, Node):
        set_parameter(model, bias, parameter_of(model, bias) / factors)
    weight = parameter_of(model, read)
    spread = factors.repeat_interleave(pair.spread)
    set_parameter(model, read, weight * along_inputs(pair.second, weight, spread))


def _weight(layer: Node) -> Node:
    return layer.all_input_nodes[1]


def _channel_peaks(
    model: GraphModule, pairs: list[LayerPair], batches: Iterable[tuple[Tensor, ...]]
) -> dict[Node, Tensor]:
    """Largest magnitude of each channel of the tensors between two layers, float32 `[channels]`."""
    watcher = _PeakWatcher(model, pairs)
    with torch.no_grad():
        for inputs in batches:
            watcher.run(*inputs)
    return watcher.peaks


class _PeakWatcher(Interpreter):
    def __init__(self, model: GraphModule, pairs: list[LayerPair]) -> None:
        super().__init__(model)
        self.peaks: dict[Node, Tensor] = {}
        self._pairs = {pair.between: pair for pair in pairs}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        pair = self._pairs.get(n)
        if pair is not None:
            axis = 1 if pair.first.target in CONVOLUTIONS else -1
            peaks = result.detach().abs().movedim(axis, 0).reshape(pair.channels, -1).amax(1)
            self.peaks[n] = torch.maximum(self.peaks.get(n, torch.zeros(())), peaks)
        return result
