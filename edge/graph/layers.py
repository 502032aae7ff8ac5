"""The layers of an ONNX graph: what each computes, reads and writes, and the precision that its Q/DQ pairs declare."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import onnx
import onnx.inliner

from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.graph.mac_rules import MAC_RULES, multiply_accumulates
from edge.graph.nodes import DEFAULT_DOMAINS
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from edge.compress.precision_plan import Precision

Shape = tuple[int, ...]
_INTEGER = frozenset({"ConvInteger", "MatMulInteger"})  # on levels, without Q/DQ pairs; the u8 dialect has them
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"}) | _INTEGER
QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
# What a compiler moves a Q or DQ across: they reorder values and change none.
MOVING = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice", "Gather", "Expand"})
_UNCOUNTED = QDQ | {"Constant", "Identity", "Cast"}
_FLOATS: dict[int, Precision] = {
    onnx.TensorProto.FLOAT: "fp32",
    onnx.TensorProto.FLOAT16: "fp16",
    onnx.TensorProto.BFLOAT16: "bf16",
}


@dataclass(frozen=True, slots=True)
class GraphLayer:
    """One node of a graph that computes something.

    Attributes:
        name: Path of its module, where the graph kept it, or of the tensor that it makes.
        operator: ONNX operator, such as `Conv`; behind its domain, `my.domain::Conv`, where it is not ONNX's own.
        output: Name of its first output.
        shape: Of its first output.
        macs: Multiply-accumulates of one inference; 0 for all but weighted operators and recurrences.
        weights: Values of its constant inputs.
        reads: Values of its other inputs.
        writes: Values of its outputs.
        precision: What it computes in as declared: INT8 where activation and weight come from DequantizeLinear.
        reason: Why a weighted layer with some Q/DQ at it is not INT8; empty elsewhere.
    """

    name: str
    operator: str
    output: str
    shape: Shape
    macs: int
    weights: int
    reads: int
    writes: int
    precision: Precision
    reason: str = ""

    @property
    def weighted(self) -> bool:
        """Whether it is a convolution, a linear layer or a product of matrices."""
        return self.operator in WEIGHTED


def graph_layers(model: onnx.ModelProto) -> tuple[GraphLayer, ...]:
    """Describes every node but Q, DQ, casts and constants, in the order of the graph.

    Raises:
        ModelError: Shapes cannot be inferred, or are not fixed; the message names the tensor. Or a branch or loop holds
            layers, of which nobody knows how often they run.
    """
    reader = _Reader(model)
    return tuple(reader.describe(node) for node in reader.graph.nodes if _operator(node) not in _UNCOUNTED)


def weighted_layers(model: onnx.ModelProto) -> tuple[GraphLayer, ...]:
    """Describes convolutions, linear layers and products of matrices alone; shapes of the others need not be fixed.

    Raises:
        ModelError: As `graph_layers`.
    """
    reader = _Reader(model)
    return tuple(reader.describe(node) for node in reader.graph.nodes if _operator(node) in WEIGHTED)


def _operator(node: onnx.NodeProto) -> str:
    """Its name, behind that of its domain where that is not ONNX's own."""
    return str(node.op_type) if node.domain in DEFAULT_DOMAINS else f"{node.domain}::{node.op_type}"


class _Reader:
    def __init__(self, model: onnx.ModelProto) -> None:
        model = onnx.inliner.inline_local_functions(model) if model.functions else model
        self.graph = OnnxGraph(model)
        for node in self.graph.nodes:
            _check_inside(node)
        self._makers = self.graph.producers()
        self._readers = self.graph.readers()
        self._types = _inferred_types(model)

    def describe(self, node: onnx.NodeProto) -> GraphLayer:
        name, operator = node.name or next(filter(None, node.output), ""), _operator(node)
        if not node.output[0]:
            raise ModelError(
                f"'{name}' ({operator}) leaves out its first result", "export it with names for all results"
            )
        precision, reason = self._precision(node)
        inputs = [name for name in node.input if name]
        constant = [name for name in inputs if self._is_constant(name)]
        return GraphLayer(
            name=name,
            operator=operator,
            output=node.output[0],
            shape=self._shape(node.output[0]),
            macs=multiply_accumulates(node, operator, self._shape),
            weights=sum(prod(self._shape(name)) for name in constant),
            reads=sum(prod(self._shape(name)) for name in inputs if name not in constant),
            writes=sum(prod(self._shape(name)) for name in node.output if name),
            precision=precision,
            reason=reason,
        )

    def _shape(self, name: str) -> Shape:
        if name in self.graph.constants:
            return tuple(self.graph.constants[name].dims)
        known = self._types.get(name)
        if known is not None and known.HasField("shape") and all(d.HasField("dim_value") for d in known.shape.dim):
            return tuple(dim.dim_value for dim in known.shape.dim)
        maker = self._makers.get(name)
        if maker is not None and maker.domain not in DEFAULT_DOMAINS:
            raise ModelError(
                f"the shape of tensor '{name}' is not known: {_operator(maker)} is no operator of ONNX",
                "write its shape into the graph's value_info",
            )
        raise ModelError(f"the shape of tensor '{name}' is not fixed", "export the model with fixed shapes, batch 1")

    def _is_constant(self, name: str) -> bool:
        """Whether a tensor is a constant, or one that is only moved, cast, quantized or dequantized."""
        node = self._makers.get(name)
        if node is None:
            return name in self.graph.constants
        return _operator(node) in MOVING | _UNCOUNTED and all(self._is_constant(i) for i in node.input if i)

    def _precision(self, node: onnx.NodeProto) -> tuple[Precision, str]:
        typed, operator = self._float_type(node), _operator(node)
        if operator in _INTEGER:
            return "int8", ""
        if operator not in WEIGHTED:
            readers = self._readers.get(node.output[0], [])
            values = [n for n in node.input if n and self._is_float(n)]
            whole = values and all(self._dequantizer(n) for n in values) and readers
            return ("int8" if whole and all(r.op_type == "QuantizeLinear" for r in readers) else typed), ""
        sides = {"activation": node.input[0], "weight": node.input[1]}
        quantized = {side: self._dequantizer(name) is not None for side, name in sides.items()}
        if all(quantized.values()):
            return "int8", ""
        missing = [side for side, found in quantized.items() if not found]
        return typed, f"its {missing[0]} is not dequantized INT8" if len(missing) == 1 else ""

    def _dequantizer(self, name: str) -> onnx.NodeProto | None:
        """The DequantizeLinear of INT8 levels behind a tensor, looked for across what only moves values."""
        node = self._makers.get(name)
        while node is not None and _operator(node) in MOVING:
            node = self._makers.get(node.input[0])
        if node is None or _operator(node) != "DequantizeLinear":
            return None
        return node if self._element(node.input[0]) in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) else None

    def _float_type(self, node: onnx.NodeProto) -> Precision:
        elements = (self._element(name) for name in (*node.output, *node.input) if name)
        return next((_FLOATS[e] for e in elements if e in _FLOATS), "fp32")

    def _is_float(self, name: str) -> bool:
        return self._element(name) in _FLOATS and not (name in self.graph.constants and not self._shape(name))

    def _element(self, name: str) -> int:
        if name in self.graph.constants:
            return int(self.graph.constants[name].data_type)
        known = self._types.get(name)
        return int(known.elem_type) if known is not None else onnx.TensorProto.UNDEFINED


def _check_inside(node: onnx.NodeProto) -> None:
    """Refuses layers in branches and loops, which would be left out of every sum."""
    pending = [graph for a in node.attribute for graph in ([a.g] if a.HasField("g") else a.graphs)]
    while pending:
        for inner in pending.pop().node:
            if _operator(inner) in MAC_RULES:
                layer = f"layer '{inner.name or inner.output[0]}' ({inner.op_type})"
                raise ModelError(
                    f"{layer} lies inside {node.op_type} '{node.name}'",
                    "export the model without branches and loops",
                )
            pending.extend(graph for a in inner.attribute for graph in ([a.g] if a.HasField("g") else a.graphs))


def _inferred_types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:  # InferenceError, and what protobuf raises of a malformed graph
        raise ModelError(
            f"the shapes of the graph cannot be inferred ({first_line(error)})", "check it with onnx.checker"
        ) from error
    return {item.name: item.type.tensor_type for item in (*graph.input, *graph.value_info, *graph.output)}
