"""Small graphs for the rules of TensorRT's ONNX parser: for each one that it takes and one that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    Tensors: TypeAlias = Mapping[str, tuple[int, Sequence[int | str | None] | None]]

FLOAT, FLOAT16, INT64, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.BOOL
UINT8, INT32 = TensorProto.UINT8, TensorProto.INT32
IMAGE = (1, 4, 8, 8)
_INT8_ZERO = np.int8(0)


@dataclass(frozen=True)
class Sample:
    """One rule, seen from both sides.

    Attributes:
        name: Of the rule.
        taken: A graph that keeps it.
        refused: The same, but that the node named `case` breaks it.
        words: In the reason.
        versions: The TensorRT to ask: one where the rule holds, and one where it does not, or None.
        parser: What keeps the parser of TensorRT-RTX from agreeing; empty where it agrees.
    """

    name: str
    taken: onnx.ModelProto
    refused: onnx.ModelProto
    words: str
    versions: tuple[str, str | None] = ("10.3", None)
    parser: str = ""


def graph(
    operator: str,
    inputs: Sequence[str],
    given: Tensors,
    constants: Mapping[str, Any] | None = None,
    *,
    outputs: Tensors | None = None,
    opset: int = 18,
    domain: str = "",
    **attributes: Any,
) -> onnx.ModelProto:
    """A graph of one node named `case`; its outputs are `y` and as many more as `outputs` has, of unknown shape."""
    results = outputs or {"y": (FLOAT, None)}
    node = helper.make_node(operator, list(inputs), list(results), "case", domain=domain, **attributes)
    return model([node], given, results, constants, opset=opset, domains=(domain,))


def model(
    nodes: Sequence[onnx.NodeProto],
    given: Tensors,
    results: Tensors,
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 18,
    domains: Sequence[str] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A model around nodes."""
    made = helper.make_graph(
        list(nodes),
        "sample",
        [helper.make_tensor_value_info(name, *kind) for name, kind in given.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in results.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid(name, 1) for name in dict.fromkeys(domains) if name]
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", opset), *imports], ir_version=10, functions=list(functions)
    )


def _image(element: int = FLOAT, **others: tuple[int, Sequence[int]]) -> dict[str, tuple[int, Any]]:
    return {"x": (element, IMAGE), **others}


def _quantize(zero: Any = _INT8_ZERO, scale: float = 0.1, given: bool = True) -> onnx.ModelProto:
    inputs = ["x", "s", "z"] if given else ["x", "s"]
    nodes = [
        helper.make_node("QuantizeLinear", inputs, ["q"], "case"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], "dequantize"),
    ]
    return model(nodes, _image(), {"y": (FLOAT, IMAGE)}, {"s": np.float32(scale), "z": zero})


def _dequantize(given: bool) -> onnx.ModelProto:
    constants = {"s": np.float32(0.1)} | ({"z": np.int8(0)} if given else {})
    return graph("DequantizeLinear", ["x", *constants], {"x": (TensorProto.INT8, IMAGE)}, constants)


def _quantize_levels(element: int) -> onnx.ModelProto:
    constants = {"s": np.float32(1), "z": np.int8(0)}
    return graph("QuantizeLinear", ["x", "s", "z"], _image(element), constants, outputs={"y": (TensorProto.INT8, None)})


def _max_pool(rank: int) -> onnx.ModelProto:
    return graph("MaxPool", ["x"], {"x": (FLOAT, (1, 2, *[4] * (rank - 2)))}, kernel_shape=[2] * (rank - 2))


def _resize(**attributes: Any) -> onnx.ModelProto:
    return graph("Resize", ["x", "", "scales"], _image(), {"scales": np.array([1, 1, 2, 2], np.float32)}, **attributes)


def _pool(operator: str = "MaxPool", **attributes: Any) -> onnx.ModelProto:
    return graph(operator, ["x"], _image(), kernel_shape=[2, 2], **attributes)


def _norm(operator: str, outputs: int = 1, **attributes: Any) -> onnx.ModelProto:
    names = {"y": (FLOAT, None), "mean": (FLOAT, None), "deviation": (FLOAT, None)}
    given = {"s": np.ones(4 if operator == "BatchNormalization" else 8, np.float32)}
    inputs = ["x", *["s"] * (4 if operator == "BatchNormalization" else 2)]
    kept = dict(list(names.items())[:outputs])
    return graph(operator, inputs, _image(), given, outputs=kept, **attributes)


def _lstm(**attributes: Any) -> onnx.ModelProto:
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    weights = {"w": np.ones((ways, 16, 3), np.float32), "r": np.ones((ways, 16, 4), np.float32)}
    return graph("LSTM", ["x", "w", "r"], {"x": (FLOAT, (5, 1, 3))}, weights, hidden_size=4, **attributes)


def _dropout(training: bool) -> onnx.ModelProto:
    return graph("Dropout", ["x", "ratio", "t"], _image(), {"ratio": np.float32(0.5), "t": np.bool_(training)})


def _scatter(reduction: str) -> onnx.ModelProto:
    given = {"x": (FLOAT, (4, 4)), "i": (INT64, (1, 1)), "u": (FLOAT, (1, 4))}
    return graph("ScatterND", ["x", "i", "u"], given, reduction=reduction)


def _axes(operator: str, fixed: bool, shape: Sequence[int] = (1,), value: Any = (1,)) -> onnx.ModelProto:
    """`axes` as a constant, or as an input of the graph."""
    given = _image() if fixed else _image(axes=(INT64, shape))
    return graph(operator, ["x", "axes"], given, {"axes": np.array(value, np.int64)} if fixed else {})


def _top(fixed: bool) -> onnx.ModelProto:
    given = _image() if fixed else _image(k=(INT64, (1,)))
    outputs = {"y": (FLOAT, None), "i": (INT64, None)}
    return graph("TopK", ["x", "k"], given, {"k": np.array([2], np.int64)} if fixed else {}, outputs=outputs)


def _pad(fixed: bool) -> onnx.ModelProto:
    constants = {"pads": np.array([1, 1], np.int64), **({"axes": np.array([2], np.int64)} if fixed else {})}
    given = _image() if fixed else _image(axes=(INT64, (1,)))
    return graph("Pad", ["x", "pads", "", "axes"], given, constants)


def _slice(fixed: bool) -> onnx.ModelProto:
    constants = {
        "from": np.array([0], np.int64),
        "to": np.array([2], np.int64),
        **({"axes": np.array([2], np.int64)} if fixed else {}),
    }
    given = _image() if fixed else _image(axes=(INT64, (1,)))
    return graph("Slice", ["x", "from", "to", "axes"], given, constants)


def _convolution(bias_fixed: bool = True, rank: int = 4) -> onnx.ModelProto:
    shape = (1, 4, *[8] * (rank - 2))
    given = {"x": (FLOAT, shape)} if bias_fixed else {"x": (FLOAT, shape), "b": (FLOAT, (4,))}
    constants = {"w": np.ones((4, 4, *[1] * (rank - 2)), np.float32)}
    return graph("Conv", ["x", "w", "b"], given, constants | ({"b": np.ones(4, np.float32)} if bias_fixed else {}))


def _instance_norm(fixed: bool) -> onnx.ModelProto:
    constants = {"b": np.ones(4, np.float32)} | ({"s": np.ones(4, np.float32)} if fixed else {})
    given = _image() if fixed else _image(s=(FLOAT, (4,)))
    return graph("InstanceNormalization", ["x", "s", "b"], given, constants)


def _grid(rank: int) -> onnx.ModelProto:
    space = [4] * (rank - 2)
    given = {"x": (FLOAT, (1, 2, *space)), "grid": (FLOAT, (1, *space, rank - 2))}
    return graph("GridSample", ["x", "grid"], given, opset=20)


def _product(element: int) -> onnx.ModelProto:
    return graph("MatMul", ["x", "x"], {"x": (element, (3, 3))}, outputs={"y": (element, None)})


def _constant(**value: Any) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Constant", [], ["c"], "case", **value),
        helper.make_node("Relu", ["x"], ["y"], "relu"),
    ]
    return model(nodes, _image(), {"y": (FLOAT, IMAGE)})


def _branches(ranks: tuple[int, int]) -> onnx.ModelProto:
    def branch(name: str, rank: int) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(name, FLOAT, [1] * rank)
        value = numpy_helper.from_array(np.ones([1] * rank, np.float32))
        return helper.make_graph([helper.make_node("Constant", [], [name], value=value)], name, [], [result])

    first, second = branch("yes", ranks[0]), branch("no", ranks[1])
    return graph("If", ["condition"], {"condition": (BOOL, ())}, then_branch=first, else_branch=second)


def _einsum(equation: str) -> onnx.ModelProto:
    return graph("Einsum", ["x", "x"], {"x": (FLOAT, (3, 3))}, equation=equation)


def _typed(operator: str, element: int, result: int | None = None, **attributes: Any) -> onnx.ModelProto:
    outputs = {"y": (element if result is None else result, None)}
    return graph(operator, ["x"], {"x": (element, IMAGE)}, outputs=outputs, **attributes)


def _gather(index: int) -> onnx.ModelProto:
    return graph(
        "Add", ["x", "c"], {"x": (INT64, (2,))}, {"c": np.array([index], np.int64)}, outputs={"y": (INT64, None)}
    )


def _same_twice(different: bool) -> onnx.ModelProto:
    reverse = ["Sigmoid", "Relu", "Relu"] if different else ["Sigmoid", "Tanh", "Tanh"]
    return _lstm(direction="bidirectional", activations=["Sigmoid", "Tanh", "Tanh", *reverse])


NEWER = "newer parsers take it"
QUIET = "the parser says nothing, and reads the graph otherwise than ONNX means it"
LATER = "the parser leaves it to the build"
PLUGIN = "TensorRT-RTX has no library of plugins, which its parser makes this operator of"
_POOL = _pool()
SAMPLES = (
    Sample("zero point 0", _quantize(), _quantize(np.int8(3)), "zero point is not 0"),
    Sample("signed levels", _quantize(), _quantize(np.uint8(0)), "levels are UINT8", parser=QUIET),
    Sample("zero point missing", _quantize(), _quantize(given=False), "levels are UINT8", parser=QUIET),
    Sample("three inputs", _dequantize(True), _dequantize(False), "has no zero point", ("8.6", "10.3"), NEWER),
    Sample("float to levels", _quantize_levels(FLOAT), _quantize_levels(INT32), "not floating point"),
    Sample("mode", _resize(mode="cubic"), _resize(mode="area"), "nearest, linear and cubic"),
    Sample("pool of dimensions", _max_pool(5), _max_pool(6), "pools more than three"),
    Sample("positive scale", _quantize(), _quantize(scale=-0.1), "scale is not positive"),
    Sample("coordinates", _resize(), _resize(coordinate_transformation_mode="tf_crop_and_resize"), "transformation"),
    Sample(
        "nearest rounding",
        _resize(coordinate_transformation_mode="tf_half_pixel_for_nn"),
        _resize(coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="ceil"),
        "round_prefer_floor",
    ),
    Sample("antialias", _resize(mode="linear"), _resize(mode="linear", antialias=1), "antialiasing"),
    Sample("aspect ratio", _resize(), _resize(keep_aspect_ratio_policy="not_larger"), "stretch"),
    Sample("batch norm", _norm("BatchNormalization"), _norm("BatchNormalization", 3, training_mode=1), "training"),
    Sample("layer norm", _norm("LayerNormalization"), _norm("LayerNormalization", 3), "beyond the first"),
    Sample(
        "max pool",
        _POOL,
        _pool(outputs={"y": (FLOAT, None), "i": (INT64, None)}),
        "beyond the first",
    ),
    Sample("dilated pool", _POOL, _pool(dilations=[2, 2]), "dilated"),
    Sample("norm of pool", _pool("LpPool"), _pool("LpPool", p=3), "L1 and L2"),
    Sample("dropout", _dropout(False), _dropout(True), "training mode"),
    Sample("spatial dimensions", _convolution(), _convolution(rank=6), "three spatial"),
    Sample("bias", _convolution(), _convolution(bias_fixed=False), "bias is not", ("10.3", "10.13"), NEWER),
    Sample("coupled gates", _lstm(), _lstm(input_forget=1), "coupled"),
    Sample("layout", _lstm(), _lstm(layout=1), "layout 0", parser=QUIET),
    Sample("two directions", _same_twice(False), _same_twice(True), "different activation"),
    Sample("reduction", _scatter("none"), _scatter("add"), "reduction"),
    Sample("remainder", graph("Mod", ["x", "x"], _image(), fmod=1), graph("Mod", ["x", "x"], _image()), "fmod"),
    Sample("integer product", _product(FLOAT), _product(INT64), "integers"),
    Sample("cast", _typed("Cast", FLOAT, FLOAT16, to=FLOAT16), _typed("Cast", FLOAT, 4, to=4), "lacks"),
    Sample("strings", _constant(value_float=1.0), _constant(value_string="a"), "strings"),
    Sample("grid", _grid(4), _grid(5), "four dimensions", parser=LATER),
    Sample("mish", _typed("Mish", FLOAT), _typed("Mish", TensorProto.DOUBLE), "FLOAT16 only", parser=LATER),
    Sample("unsqueeze", _axes("Unsqueeze", True), _axes("Unsqueeze", False), "axes are not"),
    Sample("reduce", _axes("ReduceMax", True), _axes("ReduceMax", False), "axes are not"),
    Sample(
        "cumsum", _axes("CumSum", True, (), 1), _axes("CumSum", False, (), 1), "axis is not", ("10.3", "10.13"), NEWER
    ),
    Sample("top k", _top(True), _top(False), "K is not", ("8.5", "8.6"), NEWER),
    Sample("pad", _pad(True), _pad(False), "axes are not", ("10.3", "10.4"), NEWER),
    Sample("slice", _slice(True), _slice(False), "axes are not", ("8.6", "10.3"), NEWER),
    Sample("instance norm", _instance_norm(True), _instance_norm(False), "scale is not", ("8.5", "8.6"), NEWER),
    Sample("einsum", _einsum("ij,jk->ik"), _einsum("ii,jk->ik"), "diagonal", ("10.3", "10.13"), NEWER),
    Sample("branches", _branches((2, 2)), _branches((2, 3)), "rank", ("10.3", "8.6"), LATER),
    Sample("non zero", _typed("NonZero", FLOAT, INT64), _typed("NonZero", UINT8, INT64), "INT32", parser=PLUGIN),
    Sample(
        "non zero of old",
        _typed("NonZero", FLOAT, INT64),
        _typed("NonZero", INT64, INT64),
        "INT32, INT8 and BOOL only",
        ("8.6", "10.3"),
        PLUGIN,
    ),
    Sample(
        "hard swish", _typed("HardSwish", FLOAT), _typed("HardSwish", TensorProto.DOUBLE), "INT8 only", parser=LATER
    ),
    Sample("wide integers", _gather(1 << 20), _gather(1 << 40), "INT32", ("8.6", "10.3"), NEWER),
    Sample("unknown type", _typed("Abs", INT32), _typed("Abs", TensorProto.INT16), "no tensors of INT16"),
    Sample("raw bytes", _typed("Cast", UINT8, FLOAT, to=FLOAT), _typed("Abs", UINT8), "cast it first"),
    Sample(
        "newer type", _typed("Relu", FLOAT), _typed("Relu", TensorProto.BFLOAT16), "BFLOAT16", ("8.6", "10.3"), NEWER
    ),
    Sample(
        "random",
        graph("RandomNormal", [], {}, shape=[2], dtype=1),
        graph("RandomNormal", [], {}, outputs={"y": (11, None)}, shape=[2], dtype=11),
        "floating",
    ),
)
