"""Rounded weights and corrected biases of layers, found once for each step of their input and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch.fx import Interpreter

from edge.compress.quantize.parameters import is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor
    from torch.fx import Node
    from torchao.quantization.pt2e.quantizer import QuantizationSpec

    from edge.compress.sensitivity.calibrated_graph import CalibratedGraph, Edge, QdqPlacement

Step = tuple["Node", float]  # a layer, and the scale of what it reads


class BiasShifts:
    """What quantized layers of a graph have in place of their parameters.

    A bias is corrected for the mean error of its layer on the calibration set, which depends on the layer and on the
    step of its input alone (`edge.compress.quantize.bias_correction`); `prepare` finds many at once.

    Args:
        graph: Calibrated.
    """

    def __init__(self, graph: CalibratedGraph) -> None:
        self._graph = graph
        self._weights: dict[Node, Tensor] = {}
        self._shifts: dict[Step, Tensor] = {}

    def prepare(self, placements: Iterable[QdqPlacement]) -> None:
        """Finds the shifts of all these placements in one pass over the calibration set."""
        placements = list(placements)
        steps = dict.fromkeys(step for p in placements for step in _steps(p) if step not in self._shifts)
        if not steps:
            return
        weights = {n: self._weight(n, spec) for p in placements for n, spec in p.weights.items()}
        watcher = _ErrorMeter(self._graph, tuple(steps), weights)
        with torch.no_grad():
            for inputs in self._graph.batches:
                watcher.run(*inputs)
        self._shifts.update(watcher.shifts())

    def rounded_weights(self, placement: QdqPlacement) -> dict[Edge, Tensor]:
        """Weights on their levels, by parameter and layer."""
        return {(n.all_input_nodes[1], n): self._weight(n, spec) for n, spec in placement.weights.items()}

    def corrected_biases(self, placement: QdqPlacement) -> dict[Edge, Tensor]:
        """Biases without the layers' mean error, by parameter and layer."""
        self.prepare([placement])
        biases = {step: cast("Node", step[0].args[2]) for step in _steps(placement)}
        return {(bias, step[0]): self._graph.parameter(bias) - self._shifts[step] for step, bias in biases.items()}

    def _weight(self, layer: Node, spec: QuantizationSpec) -> Tensor:
        if layer not in self._weights:
            self._weights[layer] = round_weight(self._graph.parameter(layer.all_input_nodes[1]), spec)
        return self._weights[layer]


def round_weight(weight: Tensor, spec: QuantizationSpec) -> Tensor:
    """A weight on the levels that its specification's observer gives it."""
    limits = {"quant_min": spec.quant_min, "quant_max": spec.quant_max}
    axis = {} if spec.ch_axis is None else {"ch_axis": spec.ch_axis}
    observer = spec.observer_or_fake_quant_ctr(dtype=spec.dtype, qscheme=spec.qscheme, **limits, **axis)
    observer(weight)
    scale = observer.calculate_qparams()[0]
    along = [1] * weight.ndim
    along[spec.ch_axis or 0] = -1
    scale = scale.reshape(along)
    rounded: Tensor = (weight / scale).round().clamp(spec.quant_min, spec.quant_max) * scale
    return rounded


class _ErrorMeter(Interpreter):
    """Runs the float graph and sums, per output channel, how far each layer's INT8 result is off."""

    def __init__(self, graph: CalibratedGraph, steps: Sequence[Step], weights: dict[Node, Tensor]) -> None:
        super().__init__(graph.module)
        self._weights = weights
        self._scales: dict[Node, list[float]] = {}
        for layer, scale in steps:
            self._scales.setdefault(layer, []).append(scale)
        self._sums: dict[Step, Tensor] = {}
        self._counts: dict[Step, int] = dict.fromkeys(steps, 0)

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        for scale in self._scales.get(n, ()):
            values, _, *others = self.fetch_args_kwargs_from_env(n)[0]
            rounded = torch.fake_quantize_per_tensor_affine(values, scale, 0, -128, 127)
            found = cast("Callable[..., Tensor]", n.target)(rounded, self._weights[n], *others)
            axis = -1 if n.target is torch.ops.aten.linear.default else 1
            channels = (found - result).double().movedim(axis, 0).flatten(1)
            self._sums[n, scale] = self._sums.get((n, scale), torch.zeros(())) + channels.sum(1)
            self._counts[n, scale] += channels.shape[1]
        return result

    def shifts(self) -> dict[Step, Tensor]:
        return {step: (total / self._counts[step]).float() for step, total in self._sums.items()}


def _steps(placement: QdqPlacement) -> list[Step]:
    """Quantized layers that have a bias of their own, with the step of what they read."""
    found = []
    for layer in placement.weights:
        bias = layer.args[2] if len(layer.args) > 2 else None
        if isinstance(bias, torch.fx.Node) and is_own(bias):
            found.append((layer, placement.scales[layer.all_input_nodes[0], layer]))
    return found
