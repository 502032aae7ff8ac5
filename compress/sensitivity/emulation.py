"""A graph whose layers compute with the values that INT8, FP16 and FP32 would give, switched without exporting anew.

INT8 rounds the tensors and weights to their levels and corrects biases as `quantize_static` does. FP16 rounds what a
node reads, its weights and its result to half precision and lets sums run in FP32, as tensor cores do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.fx import Interpreter
from torch.fx.node import map_arg

from edge.compress.quantize.placement import WEIGHTED
from edge.compress.sensitivity.half_rules import half_nodes

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

    from edge.compress.quantize.config import QuantizeConfig
    from edge.compress.sensitivity.bias_shifts import BiasShifts
    from edge.compress.sensitivity.calibrated_graph import CalibratedGraph, Edge


@dataclass(frozen=True)
class Switches:
    """What is not computed as the float graph has it.

    Attributes:
        scales: Step of every INT8 tensor, by the tensor and its reader.
        constants: Other values of a parameter, by its node and its reader.
        half: Nodes that compute in FP16.
    """

    scales: dict[Edge, float]
    constants: dict[Edge, Tensor]
    half: frozenset[Node]


class EmulatedModel(Interpreter):
    """Runs a graph with switches; a runner as `edge.compress.scoring.evaluation` takes it."""

    def __init__(self, module: GraphModule, switches: Switches) -> None:
        super().__init__(module)
        self._scales, self._half = switches.scales, switches.half
        self._constants = dict(switches.constants)
        self._touched = self._half | {reader for _, reader in (*self._scales, *self._constants)}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The model's outputs, always as a tuple."""
        with torch.no_grad():
            outputs = self.run(*inputs)
        return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)

    def run_node(self, n: Node) -> Any:
        """One node, with what it reads and gives switched."""
        if n.op != "call_function" or n not in self._touched:
            return super().run_node(n)
        read = partial(self._read, n)
        result = cast("Callable[..., Any]", n.target)(*map_arg(n.args, read), **map_arg(n.kwargs, read))
        return _in_half(result) if n in self._half else result

    def _read(self, reader: Node, tensor: Node) -> Any:
        edge = (tensor, reader)
        if edge in self._constants:
            return self._constants[edge]
        value = self.env[tensor]
        if edge in self._scales:
            value = torch.fake_quantize_per_tensor_affine(value, self._scales[edge], 0, -128, 127)
        if reader not in self._half:
            return value
        value = _in_half(value)
        if tensor.op == "get_attr":
            self._constants[edge] = value
        return value


def emulate(graph: CalibratedGraph, settings: QuantizeConfig, shifts: BiasShifts) -> EmulatedModel:
    """The float graph with what `settings` leave to INT8, and the rest as `s8f16` has it."""
    placement = graph.place(settings.keep_float)
    constants = {
        **shifts.rounded_weights(placement),
        **(shifts.corrected_biases(placement) if settings.bias_correction else {}),
    }
    half = half_nodes(graph.module, settings.keep_fp32, frozenset(placement.weights), frozenset(placement.scales))
    return EmulatedModel(graph.module, Switches(placement.scales, constants, half))


def emulate_half(quantized: GraphModule, keep_fp32: Sequence[str]) -> EmulatedModel:
    """A graph of `quantize_static` with its float layers in FP16: what `s8f16` computes."""
    calls = [n for n in quantized.graph.nodes if n.op == "call_function"]
    dequantizing = {n for n in calls if "dequantize" in str(n.target)}
    quantizing = {n for n in calls if "quantize" in str(n.target)} - dequantizing
    integer = frozenset(n for n in calls if n.target in WEIGHTED and {*n.all_input_nodes[:2]} <= dequantizing)
    levels = frozenset((n.all_input_nodes[0], n) for n in quantizing)
    found = half_nodes(quantized, keep_fp32, integer, levels) - dequantizing - quantizing
    return EmulatedModel(quantized, Switches({}, {}, found))


def _in_half(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.half().float() if value.dtype == torch.float32 else value
    if isinstance(value, tuple | list):
        return type(value)(_in_half(item) for item in value)
    return value
