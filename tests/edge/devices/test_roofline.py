"""Fusion into kernels and the cost of each, against counts and times worked out by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from edge.devices.catalog import load_device
from edge.devices.kernels import Kernel, KernelGraph, Product, kernel_graph
from edge.devices.profile import DeviceProfile
from edge.devices.roofline import Constants, device_rates, kernel_cost
from edge.runtime.errors import DeviceError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.precision_plan import PlannedPrecision

IDEAL = Constants(compute=1.0, bandwidth=1.0, cycles=5_000)
PRECISIONS: tuple[PlannedPrecision, ...] = ("int8", "fp16", "fp32")
CONV = "<pads = [1, 1, 1, 1]>"


def board(sm: str = "8.7") -> DeviceProfile:
    """Round numbers: 100, 50 and 25 operations a nanosecond on tensor cores, 5 on CUDA cores, 100 bytes, 5 us."""
    return DeviceProfile.model_validate(
        {
            "schema": 1,
            "name": "round",
            "title": "Round",
            "kind": "dgx",
            "architecture": "aarch64",
            "gpu": {"name": "Ampere", "sm": sm, "multiprocessors": 8, "clock_mhz": 1000},
            "cpu": {"model": "none", "cores": 1},
            "memory": {"gib": 8, "shared": True, "bandwidth_gb_s": 100},
            "peak": {"int8_tops": 100, "fp16_tflops": 50, "fp32_tflops": 5},
            "power_modes": [{"id": 0, "name": "all"}],
            "power_mode": "all",
            "sources": [{"what": "made up", "url": "https://example.org"}],
        }
    )


def make_graph(inputs: str, outputs: str, body: str, **weights: Sequence[int]) -> onnx.ModelProto:
    """A graph in ONNX's text form, with constants of the given shapes."""
    text = f'<ir_version: 10, opset_import: ["" : 18]> g ({inputs}) => ({outputs}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    for name, shape in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    return model


def fused(model: onnx.ModelProto) -> list[list[str]]:
    """Operators by kernel."""
    return [[layer.operator for layer in kernel.layers] for kernel in kernel_graph(model).kernels]


def only(graph: KernelGraph) -> Kernel:
    (kernel,) = graph.kernels
    return kernel


def test_a_convolution_by_hand() -> None:
    body = f"y = Conv {CONV} (x, w, b)"
    kernel = only(
        kernel_graph(
            make_graph("float[1,64,32,32] x", "float[1,128,32,32] y", body, w=(128, 64, 3, 3), b=(128,)),
        )
    )
    macs, values = 1024 * 128 * 64 * 9, 64 * 1024 + 128 * 1024 + 128 * 64 * 9 + 128
    assert kernel.product == Product(1024, 128, 64, 9)
    assert kernel.product.macs == kernel.product.padded_macs("int8") == macs
    assert (kernel.values, kernel.weights, kernel.launches) == (values, 128 * 64 * 9 + 128, 1)
    rates = device_rates(board(), IDEAL)
    for precision, speed, width in zip(PRECISIONS, (100e9, 50e9, 25e9), (1, 2, 4), strict=True):
        cost = kernel_cost(kernel, rates, precision)
        compute, memory = 2 * macs / speed, values * width / 100e6
        assert cost.ms == pytest.approx(max(compute, memory) + 0.005)
        assert cost.bound == ("memory" if memory > max(compute, 0.005) else "launch")


def test_a_layer_is_bound_by_what_takes_longest() -> None:
    rates = device_rates(board(), IDEAL)
    wide = Kernel((), Product(10_000, 1024, 1024), ("x",), ("y",), 10_000, 0, 1)
    moved = Kernel((), Product(10, 8, 32), ("x",), ("y",), 10_000_000, 0, 1)
    small = Kernel((), None, ("x",), ("y",), 100, 0, 1)
    nothing = Kernel((), None, ("x",), ("y",), 0, 0, 0)
    bounds = [kernel_cost(k, rates, "fp16").bound for k in (wide, moved, small, nothing)]
    assert bounds == ["compute", "memory", "launch", None]
    assert kernel_cost(nothing, rates, "fp16").ms == 0.0
    assert kernel_cost(small, rates, "fp16").ms == pytest.approx(0.005 + 200 / 100e6)


def test_channels_are_filled_up_to_instructions() -> None:
    narrow = Product(rows=100, outputs=5, inputs=3, taps=9)
    assert [narrow.padded_macs(p) for p in PRECISIONS] == [100 * 8 * k * 9 for k in (32, 16, 8)]
    assert Product(100, 16, 64, 9).padded_macs("int8") == Product(100, 16, 64, 9).macs


def test_depthwise_convolutions_run_on_cuda_cores() -> None:
    body = "y = Conv <group = 64, pads = [1, 1, 1, 1]> (x, w)"
    model = make_graph("float[1,64,128,128] x", "float[1,64,128,128] y", body, w=(64, 1, 3, 3))
    kernel = only(kernel_graph(model))
    assert kernel.product == Product(128 * 128, 1, 1, 9, 64)
    slow = device_rates(board(), Constants(compute=1e-3, bandwidth=1.0, cycles=0))
    macs = 128 * 128 * 64 * 9
    assert kernel_cost(kernel, slow, "fp16").ms == pytest.approx(2 * macs / (2 * 5e9 * 1e-3))
    assert kernel_cost(kernel, slow, "fp32").ms == pytest.approx(2 * macs / (5e9 * 1e-3))
    assert kernel_cost(kernel, slow, "int8").ms == kernel_cost(kernel, slow, "fp16").ms


PRODUCTS: dict[str, tuple[onnx.ModelProto, Product]] = {
    "grouped": (
        make_graph("float[2,8,4,4] x", "float[2,12,4,4] y", "y = Conv <group = 2> (x, w)", w=(12, 4, 1, 1)),
        Product(32, 6, 4, 1, 2),
    ),
    "transposed": (
        make_graph("float[1,4,3,3] x", "float[1,6,6,6] y", "y = ConvTranspose <strides=[2,2]> (x, w)", w=(4, 6, 2, 2)),
        Product(9, 6, 4, 4),
    ),
    "linear": (
        make_graph("float[1,20] x", "float[1,10] y", "y = Gemm <transB = 1> (x, w, b)", w=(10, 20), b=(10,)),
        Product(1, 10, 20),
    ),
    "product": (make_graph("float[3,5,7] x, float[3,7,2] z", "float[3,5,2] y", "y = MatMul(x, z)"), Product(15, 2, 7)),
    "computed weight": (
        make_graph("float[1,3,4,4] x, float[8,3,1,1] w", "float[1,8,4,4] y", "y = Conv(x, w)"),
        Product(16, 8, 3),
    ),
    "one dimension": (
        make_graph("float[1,4,12] x", "float[1,6,8] y", "y = Conv(x, w)", w=(6, 4, 5)),
        Product(8, 6, 4, 5),
    ),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_products(case: str) -> None:
    model, expected = PRODUCTS[case]
    kernel = only(kernel_graph(model))
    assert kernel.product == expected
    assert expected.macs == kernel.layers[0].macs


def test_a_recurrent_layer_is_launched_once_a_step() -> None:
    model = make_graph(
        "float[7,1,16] x", "float[7,1,1,32] y", "y = GRU <hidden_size = 32> (x, w, r)", w=(1, 96, 16), r=(1, 96, 32)
    )
    kernel = only(kernel_graph(model))
    assert kernel.launches == 7
    assert kernel.product == Product(7, 96, 48)


X = "float[1,8,4,4] x"
Y = "float[1,8,4,4] y"
W = {"w": (8, 8, 3, 3), "v": (8, 8, 3, 3)}
BN = {"s": (8,), "b": (8,), "m": (8,), "a": (8,)}
FUSIONS: dict[str, tuple[onnx.ModelProto, list[list[str]]]] = {
    "activation": (make_graph(X, Y, f"c = Conv {CONV} (x, w) y = Relu(c)", w=W["w"]), [["Conv", "Relu"]]),
    "batch norm, then SiLU, then a way around": (
        make_graph(
            X,
            Y,
            f"c = Conv {CONV} (x, w) n = BatchNormalization(c, s, b, m, a) g = Sigmoid(n) z = Mul(n, g) y = Add(z, x)",
            w=W["w"],
            **BN,
        ),
        [["Conv", "BatchNormalization", "Sigmoid", "Mul", "Add"]],
    ),
    "the later of two convolutions takes the addition": (
        make_graph(X, Y, f"c = Conv {CONV} (x, w) d = Conv {CONV} (x, v) e = Add(c, d) y = Relu(e)", **W),
        [["Conv"], ["Conv", "Add", "Relu"]],
    ),
    "a convolution takes one tensor from elsewhere, not two": (
        make_graph(f"{X}, float[1,8,4,4] p", Y, f"c = Conv {CONV} (x, w) d = Mul(c, x) y = Add(d, p)", w=W["w"]),
        [["Conv", "Mul"], ["Add"]],
    ),
    "somebody else reads what lies between": (
        make_graph(X, f"{Y}, float[1,8,4,4] c", f"c = Conv {CONV} (x, w) y = Relu(c)", w=W["w"]),
        [["Conv"], ["Relu"]],
    ),
    "a SiLU that is read half way does not join": (
        make_graph(X, f"{Y}, float[1,8,4,4] g", f"c = Conv {CONV} (x, w) g = Sigmoid(c) y = Mul(c, g)", w=W["w"]),
        [["Conv"], ["Sigmoid"], ["Mul"]],
    ),
    "a result of another size": (
        make_graph("float[1,8,1,1] x, float[1,8,4,4] p", Y, "c = Conv(x, w) y = Add(c, p)", w=(8, 8, 1, 1)),
        [["Conv"], ["Add"]],
    ),
    "elementwise operators join one another": (
        make_graph(X, Y, "a = Mul(x, x) b = Exp(a) y = Add(b, x)"),
        [["Mul", "Exp", "Add"]],
    ),
    "reshapes cost nothing": (
        make_graph(X, "float[1,128] y", f"c = Conv {CONV} (x, w) f = Flatten(c) y = Relu(f)", w=W["w"]),
        [["Conv", "Relu"]],
    ),
    "what is constant is folded": (
        make_graph(X, "float[1,8,4,4] y", "t = Transpose <perm = [0, 1, 2]> (w) y = MatMul(x, t)", w=(1, 4, 4)),
        [["MatMul"]],
    ),
    "pooling, softmax and the rest stand alone": (
        make_graph(X, Y, f"c = Conv {CONV} (x, w) s = Softmax(c) y = Relu(s)", w=W["w"]),
        [["Conv"], ["Softmax"], ["Relu"]],
    ),
}


@pytest.mark.parametrize("case", FUSIONS)
def test_fusion(case: str) -> None:
    model, expected = FUSIONS[case]
    assert fused(model) == expected


def test_a_residual_costs_its_reading_and_the_intermediate_nothing() -> None:
    alone = only(kernel_graph(make_graph(X, Y, f"y = Conv {CONV} (x, w)", w=W["w"])))
    other = make_graph(f"{X}, float[1,8,4,4] p", Y, f"c = Conv {CONV} (x, w) a = Add(c, p) y = Relu(a)", w=W["w"])
    assert only(kernel_graph(other)).values == alone.values + 128
    assert only(kernel_graph(other)).reads == ("x", "p")


def test_quantization_is_seen_through_and_declares_int8() -> None:
    body = """
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) k = DequantizeLinear(i, s, z)
        c = Conv <pads = [1, 1, 1, 1]> (d, k) r = Relu(c) o = QuantizeLinear(r, s, z) y = DequantizeLinear(o, s, z)"""
    model = make_graph(X, Y, body)
    arrays = {"s": np.float32(0.1), "z": np.int8(0), "i": np.zeros((8, 8, 3, 3), np.int8)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items())
    graph = kernel_graph(model)
    assert [layer.operator for layer in only(graph).layers] == ["Conv", "Relu"]
    assert only(graph).declared == "int8"
    assert only(graph).product == Product(16, 8, 8, 9)
    assert graph.outputs == only(graph).writes


def test_a_concatenation_copies_only_what_others_read() -> None:
    pool = "MaxPool <kernel_shape = [1, 1]>"
    body = f"a = {pool} (x) b = {pool} (a) y = Concat <axis = 1> (a, b)"
    graph = kernel_graph(make_graph(X, "float[1,16,4,4] y", body))
    joined = graph.kernels[-1]
    assert joined.reads == ("a", "b")
    assert (joined.launches, joined.values) == (1, 2 * 128)  # a is read by the second pooling as well
    assert graph.places == {"b": "y"}
    apart = f"a = {pool} (x) b = Relu(x) y = Concat <axis = 1> (a, b)"
    free = kernel_graph(make_graph(X, "float[1,16,4,4] y", apart)).kernels[-1]
    assert (free.launches, free.values) == (0, 0)
    twice = kernel_graph(make_graph(X, "float[1,16,4,4] y", "a = Relu(x) y = Concat <axis = 1> (a, a)"))
    assert twice.kernels[-1].launches == 1
    outside = kernel_graph(make_graph(X, "float[1,16,4,4] y", "a = Relu(x) y = Concat <axis = 1> (x, a)"))
    assert (outside.kernels[-1].launches, outside.kernels[-1].values) == (1, 2 * 128)


def test_copies_move_what_they_write() -> None:
    model = make_graph("float[1,8,4,4] x", "float[1,2,4,4] y, float[1,6,4,4] z", "y, z = Split <axis = 1> (x, sizes)")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 6]), "sizes"))
    graph = kernel_graph(model)
    assert only(graph).values == 2 * 128
    assert (graph.sizes["y"], graph.sizes["z"]) == (32, 96)
    table = make_graph("int64[3] x", "float[3,4] y", "y = Gather(w, x)", w=(1000, 4))
    assert (only(kernel_graph(table)).values, only(kernel_graph(table)).weights) == (2 * 12, 4000)


REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "an open dimension": (make_graph("float[n,8,4,4] x", "float[n,8,4,4] y", "y = Relu(x)"), "is not fixed"),
    "an unknown operator's result": (
        make_graph(X, "float[1,8,4,4] y", "t = Reshape(x, p) y = Relu(t)", p=(4,)),
        "shape",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unknown_shapes_are_refused(case: str) -> None:
    model, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        kernel_graph(model)


def test_a_result_that_is_known_before_needs_no_kernel() -> None:
    graph = kernel_graph(make_graph(X, f"{Y}, float[4,8] k", "y = Relu(x) k = Transpose(w)", w=(8, 4)))
    assert [kernel.name for kernel in graph.kernels] == ["y"]
    assert [layer.name for layer in graph.free] == ["k"]
    assert graph.outputs == ("y",)


def test_a_product_of_two_vectors_is_one_number() -> None:
    kernel = only(kernel_graph(make_graph("float[6] x, float[6] z", "float y", "y = MatMul(x, z)")))
    assert kernel.product == Product(1, 1, 6)


def test_branches_are_refused() -> None:
    branch = "g () => (float[1] r) { r = Constant <value_floats = [1.0]> () }"
    model = make_graph("bool c", "float[1] y", f"y = If (c) <then_branch = {branch}, else_branch = {branch}>")
    with pytest.raises(ModelError, match="has a If"):
        kernel_graph(model)


def test_layers_of_one_name_are_numbered() -> None:
    model = make_graph(X, Y, "a = Relu(x) b = Softmax(a) y = Relu(b)")
    for node in model.graph.node:
        node.name = "same"
    names = [layer.name for kernel in kernel_graph(model).kernels for layer in kernel.layers]
    assert names == ["same", "same (2)", "same (3)"]


def test_a_device_without_known_rates_is_refused() -> None:
    with pytest.raises(DeviceError, match="has no GPU"):
        device_rates(load_device("x86-cpu", environ={}))
    blank = board().model_copy(update={"peak": board().peak.model_copy(update={"int8_tops": None})})
    with pytest.raises(DeviceError, match="no published peak"):
        device_rates(blank)


def test_tf32_needs_tensor_cores_that_have_it() -> None:
    assert device_rates(board("8.7"), IDEAL).tensor_cores["fp32"] == 25e9
    assert device_rates(board("7.5"), IDEAL).tensor_cores["fp32"] == 5e9
    assert device_rates(board(), Constants(1.0, 1.0, 20_000)).launch_ms == pytest.approx(0.02)


channels = st.integers(1, 300)


@given(st.integers(1, 4000), channels, channels, st.sampled_from([1, 9, 25]), st.sampled_from([1, 2, 8]))
def test_narrower_is_never_slower(rows: int, outputs: int, inputs: int, taps: int, groups: int) -> None:
    rates = device_rates(board())
    values = rows * (outputs + inputs) * groups
    kernel = Kernel((), Product(rows, outputs, inputs, taps, groups), ("x",), ("y",), values, 0, 1)
    times = [kernel_cost(kernel, rates, precision).ms for precision in PRECISIONS]
    assert all(narrow <= wide for narrow, wide in pairwise(times))


@given(st.integers(1, 4000), channels, channels, st.integers(0, 64), st.integers(0, 64), st.sampled_from(PRECISIONS))
def test_more_channels_are_never_faster(
    rows: int, outputs: int, inputs: int, more: int, also: int, precision: PlannedPrecision
) -> None:
    def ms(outputs: int, inputs: int) -> float:
        product, values = Product(rows, outputs, inputs, 9), rows * (outputs + inputs) + 9 * outputs * inputs
        return kernel_cost(Kernel((), product, ("x",), ("y",), values, 0, 1), rates, precision).ms

    rates = device_rates(board())
    assert ms(outputs, inputs) <= ms(outputs + more, inputs + also)


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from(PRECISIONS))
def test_arithmetic_is_the_same_within_a_step(rows: int, inputs: int, precision: PlannedPrecision) -> None:
    step = {"int8": 32, "fp16": 16, "fp32": 8}[precision]
    full = Product(rows, 8, -(-inputs // step) * step).padded_macs(precision)
    assert Product(rows, 1, inputs).padded_macs(precision) == full
