"""Small graphs for the limits of the DLA: for each one inside and one outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from onnx import helper

from tests.edge.compile.operators.samples import BOOL, FLOAT, graph, model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

IMAGE = (1, 4, 16, 16)


@dataclass(frozen=True)
class DlaSample:
    """One limit, seen from both sides; the node in question is named `case`.

    Attributes:
        name: Of the limit.
        inside: A graph whose node fits.
        outside: The same, but that the node does not.
        words: In the reason.
        precision: What both are asked in.
    """

    name: str
    inside: onnx.ModelProto
    outside: onnx.ModelProto
    words: str
    precision: Literal["fp16", "int8"] = "fp16"


def one(operator: str, shape: Sequence[int] = IMAGE, constants: Any = None, **options: Any) -> onnx.ModelProto:
    """A graph of one node that reads `x` and then its constants, in their order."""
    names = ["x", *(constants or {})]
    return graph(operator, names, {"x": (FLOAT, shape)}, constants, **options)


def two(operator: str, first: Sequence[int] = IMAGE, second: Sequence[int] = IMAGE, **options: Any) -> onnx.ModelProto:
    """A graph of one node that reads two tensors."""
    return graph(operator, ["x", "z"], {"x": (FLOAT, first), "z": (FLOAT, second)}, **options)


def convolution(
    kernel: Sequence[int] = (3, 3), channels: tuple[int, int] = (4, 4), size: int = 48, **options: Any
) -> onnx.ModelProto:
    """A convolution of `channels` in and out."""
    groups = options.get("group", 1)
    weights = np.ones((channels[1], channels[0] // groups, *kernel), np.float32)
    return one("Conv", (1, channels[0], *[size] * len(kernel)), {"w": weights}, **options)


def deconvolution(kernel: Sequence[int] = (2, 2), **options: Any) -> onnx.ModelProto:
    """A transposed convolution of four channels."""
    groups = options.get("group", 1)
    weights = np.ones((4, 4 // groups, *kernel), np.float32)
    return one("ConvTranspose", constants={"w": weights}, **options)


def resize(scales: Sequence[float] = (1, 1, 2, 2), **options: Any) -> onnx.ModelProto:
    """A resize by scales."""
    return graph("Resize", ["x", "", "s"], {"x": (FLOAT, IMAGE)}, {"s": np.array(scales, np.float32)}, **options)


def _resize_to_size() -> onnx.ModelProto:
    size = {"size": np.array([1, 4, 32, 32], np.int64)}
    return graph("Resize", ["x", "", "", "size"], {"x": (FLOAT, IMAGE)}, size, **_FLOOR)


def _slice(axis: int, step: int = 1) -> onnx.ModelProto:
    limits = {"from": [0], "to": [2], "axes": [axis], "steps": [step]}
    constants = {name: np.array(value, np.int64) for name, value in limits.items()}
    return one("Slice", (4, 4, 16, 16), constants)


def _split(axis: int) -> onnx.ModelProto:
    outputs: dict[str, Any] = {"y": (FLOAT, None), "z": (FLOAT, None)}
    return one("Split", (2, 4, 16, 16), outputs=outputs, axis=axis, num_outputs=2)


def _reshape(shape: Sequence[int]) -> onnx.ModelProto:
    return one("Reshape", (2, 4, 16, 16), {"shape": np.array(shape, np.int64)})


def _reshape_between(other: str) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["r"], "case"),
        helper.make_node(
            other, ["r", "r"] if other == "Concat" else ["r"], ["y"], **({"axis": 1} if other == "Concat" else {})
        ),
    ]
    return model(nodes, {"x": (FLOAT, IMAGE)}, {"y": (FLOAT, None)}, {"shape": np.array([1, 16, 8, 8], np.int64)})


def _compared(cast: bool, operator: str = "Greater") -> onnx.ModelProto:
    nodes = [helper.make_node(operator, ["x", "z"], ["g"], "case")]
    given = {"x": (FLOAT, IMAGE), "z": (FLOAT, IMAGE)}
    if not cast:
        return model(nodes, given, {"g": (BOOL, IMAGE)})
    return model([*nodes, helper.make_node("Cast", ["g"], ["y"], to=FLOAT)], given, {"y": (FLOAT, IMAGE)})


def _clip(low: float | None, high: float | None) -> onnx.ModelProto:
    bounds = {"low": low, "high": high}
    constants = {name: np.float32(value) for name, value in bounds.items() if value is not None}
    return graph(
        "Clip", ["x", *(name if name in constants else "" for name in bounds)], {"x": (FLOAT, IMAGE)}, constants
    )


def _power(exponent: Any) -> onnx.ModelProto:
    return one("Pow", constants={"p": np.array(exponent, np.float32)})


def _channels(count: int) -> np.ndarray[Any, Any]:
    return np.ones((count, 1, 1), np.float32)


def _norm(fixed: bool) -> onnx.ModelProto:
    inputs = ["x", "s", "s", "s", "s"]
    given: dict[str, Any] = {"x": (FLOAT, IMAGE)}
    if fixed:
        return graph("BatchNormalization", inputs, given, {"s": np.ones(4, np.float32)})
    return graph("BatchNormalization", inputs, {**given, "s": (FLOAT, (4,))})


def _matrix(fixed: bool) -> onnx.ModelProto:
    if fixed:
        return one("MatMul", (1, 8), {"w": np.ones((8, 4), np.float32)})
    return two("MatMul", (1, 8), (8, 4))


_FLOOR: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
_NEAREST, _CUBE = resize(**_FLOOR), (1, 4, 8, 8, 8)
CONVOLUTION, POOL = convolution(), one("MaxPool", kernel_shape=[2, 2])
SAMPLES = (
    DlaSample("two dimensions", CONVOLUTION, convolution((3, 3, 3), size=8), "5 dimensions"),
    DlaSample("four dimensions", one("Relu"), one("Relu", (1, 4)), "2 dimensions"),
    DlaSample("batch", one("Relu", (4096, 1, 2, 2)), one("Relu", (4097, 1, 2, 2)), "4097 is larger than 4096"),
    DlaSample("extent", one("Relu", (1, 1, 1, 8192)), one("Relu", (1, 1, 1, 8193)), "8193, more than 8192"),
    DlaSample("kernel", convolution((32, 32)), convolution((33, 33)), "kernel of 33 is not within 1 to 32"),
    DlaSample("padding", convolution(pads=[2] * 4), convolution(pads=[3] * 4), "as large as its kernel"),
    DlaSample("more padding", CONVOLUTION, convolution((32, 32), pads=[32] * 4), "padding of 32"),
    DlaSample("same padding", convolution(auto_pad="SAME_UPPER"), convolution((40, 1), auto_pad="SAME_UPPER"), "40"),
    DlaSample("stride", convolution(strides=[8, 8]), convolution(strides=[9, 9]), "stride of 9"),
    DlaSample("dilation", convolution((1, 1), dilations=[32, 32]), convolution((1, 1), dilations=[33, 33]), "dilation"),
    DlaSample("channels", CONVOLUTION, convolution((1, 1), (4, 8200), 1), "channels of 8200|extent of 8200"),
    DlaSample("groups", convolution(group=4), convolution((1, 1), (8200, 8200), 1, group=8200), "8200"),
    DlaSample("fixed weights", CONVOLUTION, two("Conv", (1, 4, 8, 8), (4, 4, 3, 3)), "weights are not"),
    DlaSample("upsampling kernel", deconvolution(), deconvolution((40, 40)), "kernel of 40"),
    DlaSample("long kernel", deconvolution((64, 1)), deconvolution((64, 64)), "kernel of 64"),
    DlaSample(
        "slow square", deconvolution((22, 22), strides=[22, 22]), deconvolution((23, 23), strides=[23, 23]), "slow"
    ),
    DlaSample("padded", deconvolution(), deconvolution(pads=[1, 1, 1, 1]), "it is padded"),
    DlaSample("output padding", deconvolution(), deconvolution(strides=[2, 2], output_padding=[1, 1]), "it is padded"),
    DlaSample("grouped", deconvolution(), deconvolution(group=2), "it is grouped"),
    DlaSample("dilated", deconvolution(), deconvolution(dilations=[2, 2]), "it is dilated"),
    DlaSample("window", one("MaxPool", kernel_shape=[8, 8]), one("MaxPool", kernel_shape=[9, 9]), "window of 9"),
    DlaSample("pool stride", POOL, one("AveragePool", (1, 1, 40, 40), kernel_shape=[2, 2], strides=[17, 17]), "17"),
    DlaSample("pool dilation", POOL, one("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), "dilated"),
    DlaSample("global", one("GlobalMaxPool"), one("GlobalAveragePool"), "average pools of at most 8 x 8"),
    DlaSample("activation", one("Sigmoid"), one("Elu"), "no such layer"),
    DlaSample("slope", one("LeakyRelu", alpha=0.1), one("LeakyRelu", alpha=-0.1), "slope is negative"),
    DlaSample("clip", _clip(0, 6), _clip(-1, 1), "clips to -1 and 1"),
    DlaSample("open clip", _clip(0, 127), _clip(0, None), "clips to 0"),
    DlaSample(
        "slopes",
        one("PRelu", constants={"s": np.ones(IMAGE, np.float32)}),
        one("PRelu", constants={"s": _channels(4)}),
        "fewer dimensions",
    ),
    DlaSample("elementwise", two("Max"), two("Mod", fmod=1), "no such layer"),
    DlaSample(
        "one a channel", two("Mul", second=(1, 4, 1, 1)), two("Mul", second=(1, 4, 16, 1)), "broadcasts 1 x 4 x 16 x 1"
    ),
    DlaSample("one value", two("Add", second=(1, 1, 1, 1)), two("Add", second=(1, 1, 16, 16)), "broadcasts"),
    DlaSample("batch spread", two("Add"), two("Add", (2, 4, 8, 8), (1, 4, 8, 8)), "broadcasts"),
    DlaSample(
        "scale",
        one("Mul", constants={"c": _channels(4)}),
        one("Mul", constants={"c": np.ones(16, np.float32)}),
        "broadcasts",
    ),
    DlaSample("division", one("Div", constants={"c": np.float32(2)}), two("Div"), "neither a constant nor INT8"),
    DlaSample(
        "uneven",
        one("Div", constants={"c": _channels(4)}),
        one("Div", constants={"c": np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1)}),
        "different values",
    ),
    DlaSample("power", _power(2), _power(np.arange(16)), "one value", "int8"),
    DlaSample("compared", _compared(True), _compared(False), "to a cast alone", "int8"),
    DlaSample("statistics", _norm(True), _norm(False), "not constants"),
    DlaSample("window of channels", one("LRN", size=5), one("LRN", size=6), "window of 6"),
    DlaSample("concatenation", two("Concat", axis=1), two("Concat", axis=2), "another axis"),
    DlaSample("alone", two("Concat", axis=-3), one("Concat", axis=1), "one input"),
    DlaSample("scales", _NEAREST, resize((1, 1, 1.5, 2), **_FLOOR), "whole numbers"),
    DlaSample("channels scaled", _NEAREST, resize((1, 2, 2, 2), **_FLOOR), "1, 1 and whole"),
    DlaSample("largest scale", resize((1, 1, 32, 1), **_FLOOR), resize((1, 1, 33, 1), **_FLOOR), "scale of 33"),
    DlaSample("largest linear", resize((1, 1, 4, 4), mode="linear"), resize((1, 1, 5, 5), mode="linear"), "scale of 5"),
    DlaSample("given as size", _NEAREST, _resize_to_size(), "constant scales"),
    DlaSample("mapping", resize(), resize(nearest_mode="floor"), "half_pixel with floor"),
    DlaSample(
        "linear mapping",
        resize(mode="linear"),
        resize(mode="linear", coordinate_transformation_mode="align_corners"),
        "align_corners",
    ),
    DlaSample("cubic", resize(mode="linear"), resize(mode="cubic"), "mode is cubic"),
    DlaSample(
        "softmax", one("Softmax", (1, 1024, 2, 1), axis=1), one("Softmax", (1, 1025, 2, 1), axis=1), "axis of 1025"
    ),
    DlaSample("long softmax", one("Softmax", (1, 8000, 1, 1), axis=1), one("Softmax", axis=0), "along the batch"),
    DlaSample("slice", _slice(1), _slice(0), "slices the batch"),
    DlaSample("steps", _slice(2), _slice(2, 2), "steps are not 1"),
    DlaSample("split", _split(1), _split(0), "splits the batch"),
    DlaSample("reshape", _reshape([2, 16, 8, 8]), _reshape([1, 8, 16, 16]), "changes the batch"),
    DlaSample("reshape to fewer", _reshape([2, 64, 4, 4]), _reshape([2, 1024]), "2 dimensions"),
    DlaSample("reshape beside", _reshape_between("Relu"), _reshape_between("Concat"), "next to a slice"),
    DlaSample("transpose", one("Transpose", perm=[0, 2, 1, 3]), one("Transpose", perm=[1, 0, 2, 3]), "moves the batch"),
    DlaSample("flatten", one("Relu"), one("Flatten"), "four dimensions only"),
    DlaSample(
        "reduction",
        one("ReduceMax", constants={"a": np.array([2, 3], np.int64)}),
        one("ReduceMean", constants={"a": np.array([2, 3], np.int64)}),
        "by the maximum only",
    ),
    DlaSample(
        "reduced batch",
        one("ReduceMax", constants={"a": np.array([1], np.int64)}),
        one("ReduceMax"),
        "reduces the batch",
    ),
    DlaSample("unary", one("Abs"), one("Exp"), "no such layer"),
    DlaSample("trigonometry", one("Abs"), one("Sin"), "INT8 only"),
    DlaSample("product", _matrix(True), _matrix(False), "by constants only"),
    DlaSample(
        "recurrence",
        one("Tanh"),
        graph(
            "LSTM",
            ["x", "w", "r"],
            {"x": (FLOAT, (5, 1, 3))},
            {"w": np.ones((1, 16, 3), np.float32), "r": np.ones((1, 16, 4), np.float32)},
            hidden_size=4,
        ),
        "recurrences",
    ),
)

# One graph that fits of each operator that no limit above shows inside.
OTHERS = (
    *(one(operator) for operator in ("Atan", "Cos", "Sin")),
    *(two(operator) for operator in ("Add", "Min", "Sub", "Sum")),
    *(_compared(True, operator) for operator in ("Equal", "Less")),
    one("Gemm", (1, 8), {"w": np.ones((4, 8), np.float32)}, transB=1),
    one("AveragePool", kernel_shape=[2, 2]),
    one("Upsample", constants={"s": np.array([1, 1, 2, 2], np.float32)}, opset=9),
)
