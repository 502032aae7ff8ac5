"""FP16 for what INT8 leaves in float, written into the graph's types: what a strongly typed compiler asks for.

TensorRT 11 and TensorRT-RTX choose no precisions of their own: a layer computes in the type that the graph gives it. So
layers outside the Q/DQ pairs become FP16, with casts where they meet the rest. At opset 18 QuantizeLinear takes no FP16
and DequantizeLinear gives none, hence a Cast before each Q and behind each DQ that such a layer touches.

Left in FP32: what is fused into integer kernels anyway (it stands between DQ and Q, or is the activation function of an
integer layer), operators that overflow or lose their meaning in FP16, layers that are asked to stay, layers with a
constant that FP16 cannot hold, and what subgraphs read. What only moves values has the type of what it moves.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from edge.compress.dialects.cleanup import tidy
from edge.compress.dialects.onnx_graph import OnnxGraph, make_node
from edge.compress.precision_plan import expanded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
_QDQ = {"QuantizeLinear", "DequantizeLinear"}
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Sums and powers leave FP16's range; normalisations divide by what may be tiny.
_WIDE = {
    *("Exp", "Log", "Pow", "Sqrt", "Reciprocal", "CumSum", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2"),
    *("ReduceProd", "ReduceLogSum", "ReduceLogSumExp", "LpNormalization", "MeanVarianceNormalization", "LRN"),
    *("LayerNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization", "RMSNormalization"),
    *("Range", "NonMaxSuppression", "RandomNormal", "RandomUniform", "Loop", "If", "Scan"),
}
_MOVING = {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}
# What compilers compute on INT8 values, or as the end of an integer kernel.
_INTEGER = _MOVING | {
    *("Relu", "Clip", "LeakyRelu", "Add", "Mul", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"),
    *("Expand", "Slice", "Gather", "Split", "Resize"),
}
_ACTIVATIONS = {"Relu", "Clip", "LeakyRelu"}
_FOLLOWING = _MOVING | {"Slice", "Gather", "Expand", "Split"}
_HALF_TYPE = "tensor(float16)"
_LOST = 2.0**-10  # of the largest value of a constant; rounding to FP16 loses half of that


def write_half(graph: onnx.ModelProto, keep_fp32: Sequence[str] = ()) -> onnx.ModelProto:
    """A copy whose float layers compute in FP16; inputs and outputs stay FP32.

    Args:
        graph: Float or with Q/DQ pairs, opset 18.
        keep_fp32: Globs on layers' names that stay FP32; what lies inside a matching module stays too.
    """
    return tidy(_HalfWriter(graph, expanded(tuple(keep_fp32))).write())


class _HalfWriter:
    def __init__(self, model: onnx.ModelProto, keep: tuple[str, ...]) -> None:
        self._graph = OnnxGraph(model)
        self._keep = keep
        inferred = onnx.shape_inference.infer_shapes(model).graph
        typed = (*inferred.input, *inferred.value_info, *inferred.output)
        types = {item.name: int(item.type.tensor_type.elem_type) for item in typed}
        self._before = types | {name: int(tensor.data_type) for name, tensor in self._graph.constants.items()}
        self._now = dict(self._before)
        self._makers = self._graph.producers()
        self._casts: dict[tuple[str, int], str] = {}
        self._fused = self._fused_into_integers()

    def write(self) -> onnx.ModelProto:
        for node in list(self._graph.nodes):
            if self._becomes_half(node):
                self._retype(node, _castable(node, self._opset()), HALF)
                self._now.update((name, HALF) for name in node.output if self._now.get(name) == FLOAT)
            else:
                self._retype(node, range(len(node.input)), FLOAT)
        for name in (*self._graph.outputs, *sorted(self._graph.captured)):
            if self._before.get(name) == FLOAT and self._now[name] == HALF:
                self._return_float(name)
        return self._graph.finish()

    def _retype(self, node: onnx.NodeProto, positions: Iterable[int], wanted: int) -> None:
        for index in positions:
            name = node.input[index]
            if self._before.get(name) == FLOAT and self._now[name] != wanted:
                node.input[index] = self._cast(name, wanted)

    def _cast(self, name: str, wanted: int) -> str:
        key = (name, wanted)
        if key not in self._casts:
            self._casts[key] = self._make_cast(name, wanted)
        return self._casts[key]

    def _make_cast(self, name: str, wanted: int) -> str:
        maker = self._makers.get(name)
        if name in self._graph.constants:
            constant = numpy_helper.from_array(self._graph.array(name).astype(np.float16), self._graph.fresh("half"))
            self._graph.constants[constant.name] = constant
            return str(constant.name)
        if maker is not None and maker.op_type == "Cast" and self._before.get(maker.input[0]) == HALF:
            return str(maker.input[0])
        cast = self._graph.fresh("cast")
        self._graph.nodes.append(make_node("Cast", [name], cast, to=wanted))
        return cast

    def _return_float(self, name: str) -> None:
        """What others know by its name, cast back."""
        renamed = self._graph.fresh("half")
        self._graph.redirect(name, renamed)
        for node in self._graph.nodes:
            node.output[:] = [renamed if output == name else output for output in node.output]
        self._graph.nodes.append(make_node("Cast", [renamed], name, to=FLOAT))

    def _becomes_half(self, node: onnx.NodeProto) -> bool:
        if node.op_type in _QDQ | _WIDE | {"Cast"} or id(node) in self._fused:
            return False
        if self._before.get(node.output[0]) != FLOAT or any(fnmatchcase(node.name, glob) for glob in self._keep):
            return False
        if node.op_type in _FOLLOWING and node.input[0] not in self._graph.constants:
            return bool(self._now.get(node.input[0]) == HALF)
        castable = _castable(node, self._opset())
        constants = (node.input[i] for i in castable if node.input[i] in self._graph.constants)
        return bool(castable) and all(self._fits(name) for name in constants)

    def _fits(self, name: str) -> bool:
        """Whether FP16 holds a constant: nothing overflows, and what is too small for it is nothing beside the rest."""
        values = self._graph.array(name)
        if values.dtype != np.float32 or not values.size:
            return True
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        finite = np.isfinite(values)
        if not np.array_equal(np.isfinite(halves), finite):
            return False
        values, halves = values[finite], halves[finite].astype(np.float32)
        return not values.size or bool(np.abs(values - halves).max() <= _LOST * np.abs(values).max())

    def _fused_into_integers(self) -> set[int]:
        """Nodes that are computed inside integer kernels: what they read is dequantized, what they give quantized.

        A quantized layer is one of them wherever its result goes.
        """
        makers, readers = self._makers, self._graph.readers()
        inside = {id(n): n for n in self._graph.nodes if n.op_type in _INTEGER or self._is_quantized(n, makers)}
        ends = {id(n) for n in inside.values() if self._is_activation(n, readers)}
        before = -1
        while len(inside) != before:
            before = len(inside)
            for key, node in list(inside.items()):
                fed = all(self._is_fed(name, makers, inside) for name in node.input if name)
                users = readers.get(node.output[0], [])
                quantized = users and all(u.op_type == "QuantizeLinear" or id(u) in inside for u in users)
                if not (fed and (quantized or node.op_type in _WEIGHTED or key in ends)):
                    del inside[key]
        return set(inside)

    def _is_activation(self, node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> bool:
        """Whether a node is the activation function of a quantized layer, with nothing between the two."""
        layer = self._makers.get(node.input[0]) if node.op_type in _ACTIVATIONS else None
        return layer is not None and self._is_quantized(layer, self._makers) and len(readers[layer.output[0]]) == 1

    def _is_quantized(self, node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> bool:
        """Whether both sides of a layer come out of DequantizeLinear, moved at the most."""
        if node.op_type not in _WEIGHTED:
            return False
        found = [makers.get(name) for name in node.input[:2]]
        while any(maker is not None and maker.op_type in _MOVING for maker in found):
            found = [makers.get(m.input[0]) if m is not None and m.op_type in _MOVING else m for m in found]
        return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in found)

    def _is_fed(self, name: str, makers: dict[str, onnx.NodeProto], inside: dict[int, onnx.NodeProto]) -> bool:
        maker = makers.get(name)
        if maker is None:
            return name in self._graph.constants
        return maker.op_type == "DequantizeLinear" or id(maker) in inside or self._before.get(name) not in (FLOAT, HALF)

    def _opset(self) -> int:
        return next(int(o.version) for o in self._graph.model.opset_import if o.domain in ("", "ai.onnx"))


def _castable(node: onnx.NodeProto, opset: int) -> list[int]:
    """Positions of the inputs that are FP16 where the first output is; none where the operator takes no FP16."""
    if node.domain not in ("", "ai.onnx"):
        return []
    schema = onnx.defs.get_schema(node.op_type, opset)
    allowing = {c.type_param_str for c in schema.type_constraints if _HALF_TYPE in c.allowed_type_strs}
    variable = schema.outputs[0].type_str
    if variable not in allowing:
        return []
    formal = schema.inputs
    positions = range(len(node.input))
    return [i for i in positions if node.input[i] and formal[min(i, len(formal) - 1)].type_str == variable]
