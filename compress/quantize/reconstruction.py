"""Weights rounded layer by layer so that the INT8 model gives what the float one has.

Nothing is kept that does worse on samples which it has not learned from.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from edge.compress.quantize.adaptive_rounding import Reconstruction, learn_rounding
from edge.compress.quantize.paired_run import LayerChoice, PairedRun
from edge.compress.quantize.parameters import is_own, parameter_of, set_parameter
from edge.compress.quantize.placement import FUSED_ACTIVATIONS, module_paths
from edge.compress.quantize.rounding_record import RoundedLayer
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.fx import GraphModule, Node

    from edge.compress.quantize.config import AdaptiveRounding
    from edge.compress.quantize.prepared_graph import PreparedLayer

logger = logging.getLogger(__name__)


def reconstruct_layers(
    prepared: GraphModule, batches: Sequence[tuple[Tensor, ...]], config: AdaptiveRounding, *, shift_biases: bool
) -> tuple[RoundedLayer, ...]:
    """Rounds the weights of a prepared and calibrated graph, in place, before `convert_pt2e`.

    Args:
        prepared: The graph; weights that several layers share are left to be rounded to nearest.
        batches: Calibration inputs.
        config: How.
        shift_biases: Whether biases may take back each channel's mean error.

    Raises:
        DataError: There are fewer than two samples, so that none can be held back.
    """
    learning, held_back = _divided(batches, config)
    reconstructor = _Reconstructor(prepared, config, len(learning), shift_biases)
    with torch.no_grad():
        PairedRun(prepared, reconstructor.visit).run([*learning, *held_back])
    for node, values in reconstructor.changed:
        set_parameter(prepared, node, values)
    return tuple(reconstructor.records)


def _divided(
    batches: Sequence[tuple[Tensor, ...]], config: AdaptiveRounding
) -> tuple[list[tuple[Tensor, ...]], list[tuple[Tensor, ...]]]:
    """Chunks of samples to learn from, and chunks held back, drawn by the seed."""
    inputs = [torch.cat(parts) for parts in zip(*batches, strict=True)]
    if len(inputs[0]) < 2:
        raise DataError("adaptive rounding has one calibration sample", "give it two or more: some are held back")
    order = torch.randperm(len(inputs[0]), generator=torch.Generator().manual_seed(config.seed))[: config.samples]
    held = max(1, round(len(order) * config.held_back))
    parts = (order[held:], order[:held])
    learning, held_back = ([tuple(t[i] for t in inputs) for i in part.split(config.batch)] for part in parts)
    return learning, held_back


class _Reconstructor:
    def __init__(self, prepared: GraphModule, config: AdaptiveRounding, learning: int, shift_biases: bool) -> None:
        self.records: list[RoundedLayer] = []
        self.changed: list[tuple[Node, Tensor]] = []
        self._model = prepared
        self._config = config
        self._learning = learning
        self._shift_biases = shift_biases

    def visit(self, layer: PreparedLayer, calls: list[tuple[Any, ...]], exact: list[Tensor]) -> LayerChoice:
        weight = parameter_of(self._model, layer.weight)
        bias = calls[0][2] if len(calls[0]) > 2 else None
        nearest = LayerChoice(layer.round_weight(weight), bias)
        if not is_own(layer.weight):
            return nearest
        parts = [_Part(layer, part, results) for part, results in self._parts(calls, exact)]
        choices = self._choices(parts[0], weight, nearest)
        errors = {name: parts[1].error(choice) for name, choice in choices.items()}
        kept = min(errors, key=lambda name: errors[name])  # the first of equals, which is nearest
        self._note(layer, errors, kept, parts[1].power)
        chosen = choices[kept]
        if kept != "nearest":
            self.changed.append((layer.weight, chosen.weight))
            if layer.bias is not None:
                self.changed.append((layer.bias, chosen.bias))
        return chosen

    def _parts(
        self, calls: list[tuple[Any, ...]], exact: list[Tensor]
    ) -> list[tuple[list[tuple[Any, ...]], list[Tensor]]]:
        cut = self._learning
        return [(calls[:cut], exact[:cut]), (calls[cut:], exact[cut:])]

    def _choices(self, part: _Part, weight: Tensor, nearest: LayerChoice) -> dict[str, LayerChoice]:
        shift = self._shift_biases and part.layer.bias is not None
        shifted = part.with_bias(nearest) if shift else nearest
        task = Reconstruction(part.layer, weight, part.computing(shifted.bias), part.inputs, part.targets)
        learned = LayerChoice(learn_rounding(task, self._config), nearest.bias)
        choices = {"nearest": nearest, "learned": learned}
        if shift:
            choices |= {"nearest+bias": shifted, "learned+bias": part.with_bias(learned)}
        return choices

    def _note(self, layer: PreparedLayer, errors: dict[str, float], kept: str, power: float) -> None:
        name = (module_paths(layer.node) or (layer.node.name,))[-1]
        record = RoundedLayer(
            layer=name, error_before=errors["nearest"] / power, error_after=errors[kept] / power, kept=kept
        )
        logger.info("%s: error %.3g -> %.3g (%s)", name, record.error_before, record.error_after, kept)
        self.records.append(record)


class _Part:
    """A layer on some of the samples."""

    def __init__(self, layer: PreparedLayer, calls: list[tuple[Any, ...]], exact: list[Tensor]) -> None:
        self.layer = layer
        samples = _sample_axis([call[0] for call in calls])
        self.inputs = torch.cat([call[0].movedim(samples, 0) for call in calls])
        self._exact = torch.cat([result.movedim(samples, 0) for result in exact])
        self._others = calls[0][3:]
        self._activation = _activation(layer.node)
        self.targets = self._activation(self._exact.clone())
        self.power = max(float(self.targets.square().mean()), torch.finfo(torch.float32).tiny)

    def computing(self, bias: Any) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda values, weight: self._activation(self.layer.compute(values, weight, bias, *self._others))

    def error(self, choice: LayerChoice) -> float:
        result = self.computing(choice.bias)(self.inputs, choice.weight)
        return float((result - self.targets).square().mean())

    def with_bias(self, choice: LayerChoice) -> LayerChoice:
        """The bias shifted so that every channel has the float result's mean."""
        result = self.layer.compute(self.inputs, choice.weight, choice.bias, *self._others)
        shift = self.layer.by_channel((result - self._exact).double()).mean(1)
        return LayerChoice(choice.weight, choice.bias - shift.to(choice.bias.dtype))


def _sample_axis(chunks: Sequence[Tensor]) -> int:
    """Where the samples lie: in front, or where chunks of different size differ, as in attention's `[L, B, E]`.

    Only linear layers have them elsewhere, and those do not care on which of the leading axes.
    """
    shapes = [chunk.shape for chunk in chunks]
    return next((axis for axis in range(len(shapes[0])) if len({shape[axis] for shape in shapes}) > 1), 0)


def _activation(node: Node) -> Callable[[Tensor], Tensor]:
    """The activation function that is computed with a layer; nothing where there is none."""
    users = list(node.users)
    if len(users) != 1 or users[0].target not in FUSED_ACTIVATIONS:
        return lambda values: values
    function: Any = users[0].target
    others = users[0].args[1:]
    return lambda values: function(values, *others)
