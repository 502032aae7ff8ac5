"""The layers of an ONNX graph: what each computes, reads and writes, and the precision that its Q/DQ pairs declare."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import onnx

from edge.compress.quantize.onnx_graph import OnnxGraph, attribute
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.compile.precision.layer_precision import Precision

Shape = tuple[int, ...]
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
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
        operator: ONNX operator, such as `Conv`.
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
        ModelError: Shapes cannot be inferred, or are not fixed; the message names the tensor.
    """
    reader = _Reader(model)
    return tuple(reader.describe(node) for node in reader.graph.nodes if node.op_type not in _UNCOUNTED)


class _Reader:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = OnnxGraph(model)
        self._makers = self.graph.producers()
        self._readers = self.graph.readers()
        self._types = _inferred_types(model)

    def describe(self, node: onnx.NodeProto) -> GraphLayer:
        precision, reason = self._precision(node)
        inputs = [name for name in node.input if name]
        constant = [name for name in inputs if self._is_constant(name)]
        return GraphLayer(
            name=node.name or node.output[0],
            operator=node.op_type,
            output=node.output[0],
            shape=self._shape(node.output[0]),
            macs=_MACS.get(node.op_type, _none)(node, self._shape),
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
        if known is None or any(not dim.HasField("dim_value") for dim in known.shape.dim):
            raise ModelError(
                f"the shape of tensor '{name}' is not fixed", "export the model with fixed shapes, batch 1"
            )
        return tuple(dim.dim_value for dim in known.shape.dim)

    def _is_constant(self, name: str) -> bool:
        """Whether a tensor is a constant, or one that is only moved, cast, quantized or dequantized."""
        node = self._makers.get(name)
        if node is None:
            return name in self.graph.constants
        return node.op_type in MOVING | _UNCOUNTED and all(self._is_constant(i) for i in node.input if i)

    def _precision(self, node: onnx.NodeProto) -> tuple[Precision, str]:
        typed = self._float_type(node)
        if node.op_type not in WEIGHTED:
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
        while node is not None and node.op_type in MOVING:
            node = self._makers.get(node.input[0])
        if node is None or node.op_type != "DequantizeLinear":
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


def _inferred_types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:  # InferenceError, and what protobuf raises of a malformed graph
        raise ModelError(
            f"the shapes of the graph cannot be inferred ({first_line(error)})", "check it with onnx.checker"
        ) from error
    return {item.name: item.type.tensor_type for item in (*graph.input, *graph.value_info, *graph.output)}


def _none(_node: onnx.NodeProto, _shape: Callable[[str], Shape]) -> int:
    return 0


def _convolution(node: onnx.NodeProto, shape: Callable[[str], Shape]) -> int:
    return prod(shape(node.output[0])) * prod(shape(node.input[1])[1:])


def _transposed_convolution(node: onnx.NodeProto, shape: Callable[[str], Shape]) -> int:
    return prod(shape(node.input[0])) * prod(shape(node.input[1])[1:])


def _gemm(node: onnx.NodeProto, shape: Callable[[str], Shape]) -> int:
    return prod(shape(node.output[0])) * shape(node.input[0])[0 if attribute(node, "transA", 0) else 1]


def _matmul(node: onnx.NodeProto, shape: Callable[[str], Shape]) -> int:
    return prod(shape(node.output[0])) * shape(node.input[0])[-1]


def _recurrent(node: onnx.NodeProto, shape: Callable[[str], Shape]) -> int:
    """Every step of every sequence meets both weight matrices once."""
    steps = prod(shape(node.input[0])[:-1])
    return steps * (prod(shape(node.input[1])) + prod(shape(node.input[2])))


_MACS: dict[str, Callable[[onnx.NodeProto, Callable[[str], Shape]], int]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
