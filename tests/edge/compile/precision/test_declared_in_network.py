"""Declared precision of a network: INT8 only where activation and weight both come out of dequantized INT8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.precision.declared_in_network import declared_precision
from edge.compress.precision_plan import PrecisionPlan
from edge.runtime.errors import GateError
from tests.edge.compile.tensorrt.fake_network import FakeNetwork, MatrixOperation, Tensor
from tests.edge.compile.tensorrt.fake_tensorrt import fake_library, parsed_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.compile.precision.layer_precision import LayerPrecision, PrecisionReport

IMAGE, KERNEL, MADE = (1, 4, 8, 8), (8, 4, 3, 3), (1, 8, 6, 6)
PRODUCT: dict[str, Any] = {"op0": MatrixOperation.NONE, "op1": MatrixOperation.NONE}


def declare(
    fill: Callable[[FakeNetwork, Tensor], Any],
    shape: tuple[int, ...] = IMAGE,
    version: str = "1.7.1",
    fp16_allowed: bool = False,
    **settings: Any,
) -> PrecisionReport:
    library = fake_library(version)
    library.trt.on_parse = lambda network, _graph: fill(network, network.input("x", shape)) and None
    return declared_precision(parsed_by(library, **settings), fp16_allowed)


def only(report: PrecisionReport) -> LayerPrecision:
    (layer,) = report.layers
    return layer


def stem(activation: Callable[[FakeNetwork, Tensor], Tensor], weight: Callable[[FakeNetwork], Tensor | None]) -> Any:
    """A convolution between what makes its activation and what makes its weight."""
    inside: dict[str, Any] = {"num_output_maps": 8, "num_groups": 1, "kernel_size_nd": (3, 3)}

    def fill(network: FakeNetwork, x: Tensor) -> Tensor:
        inputs = [activation(network, x), weight(network)]
        return network.add("CONVOLUTION", inputs, MADE, name="stem", **inside)

    return fill


def paired(network: FakeNetwork, x: Tensor) -> Tensor:
    return network.pair(x)


def plain(_network: FakeNetwork, x: Tensor) -> Tensor:
    return x


def shuffled(network: FakeNetwork, x: Tensor) -> Tensor:
    return network.add("SHUFFLE", [network.pair(x)], IMAGE)


def cast(network: FakeNetwork, x: Tensor) -> Tensor:
    return network.add("CAST", [network.pair(x)], IMAGE, "HALF")


def active(network: FakeNetwork, x: Tensor) -> Tensor:
    return network.add("ACTIVATION", [network.pair(x)], IMAGE)


def fp8(network: FakeNetwork, x: Tensor) -> Tensor:
    return network.dequantized(network.add("QUANTIZE", [x, network.constant(())], IMAGE, "FP8"))


def int8_weight(network: FakeNetwork) -> Tensor:
    return network.weight(*KERNEL)


def shuffled_weight(network: FakeNetwork) -> Tensor:
    return network.add("SHUFFLE", [network.weight(*KERNEL)], KERNEL)


def cast_weight(network: FakeNetwork) -> Tensor:
    return network.add("CAST", [network.weight(*KERNEL)], KERNEL, "HALF")


def float_weight(network: FakeNetwork) -> Tensor:
    return network.constant(KERNEL)


def quantized_weight(network: FakeNetwork) -> Tensor:
    """As some exporters leave it: the weight is FP32 and quantized in the graph."""
    return network.pair(network.constant(KERNEL))


def int4_weight(network: FakeNetwork) -> Tensor:
    return network.dequantized(network.constant(KERNEL, "INT4"))


def folded(_network: FakeNetwork) -> None:
    """The kernel lies inside the layer."""


@pytest.mark.parametrize("activation", [paired, shuffled, cast])
@pytest.mark.parametrize("weight", [int8_weight, shuffled_weight, cast_weight, quantized_weight])
def test_pairs_on_both_sides_declare_int8(activation: Any, weight: Any) -> None:
    found = only(declare(stem(activation, weight)))
    assert (found.name, found.macs, found.precision, found.reason) == ("stem", 8 * 36 * 36, "int8", "")
    assert found.has_weight


@pytest.mark.parametrize("activation", [plain, active, fp8])
def test_weights_alone_are_no_int8(activation: Any) -> None:
    found = only(declare(stem(activation, int8_weight)))
    assert (found.precision, found.reason) == ("fp32", "its activation is not dequantized INT8")


@pytest.mark.parametrize("weight", [float_weight, folded, int4_weight])
def test_activations_alone_are_no_int8(weight: Any) -> None:
    found = only(declare(stem(paired, weight)))
    assert (found.precision, found.reason) == ("fp32", "its weight is not dequantized INT8")
    assert found.has_weight


def test_a_graph_of_quantized_weights_alone_is_refused_by_the_plan() -> None:
    with pytest.raises(GateError, match=r"1 of 1 layers .* stem is fp32, planned int8, its activation is not"):
        declare(stem(plain, int8_weight)).demand(PrecisionPlan.int8())


def test_a_float_layer_needs_no_reason() -> None:
    assert only(declare(stem(plain, float_weight))).reason == ""


@pytest.mark.parametrize("bias", [None, (8,)])
def test_a_bias_is_no_weight(bias: tuple[int, ...] | None) -> None:
    """With the kernel inside the layer the bias may still be a tensor: dequantized or not, it proves nothing."""
    inside: dict[str, Any] = {"num_output_maps": 8, "num_groups": 1, "kernel_size_nd": (3, 3)}

    def fill(network: FakeNetwork, x: Tensor) -> Tensor:
        extra = [None, network.weight(*bias)] if bias else []
        return network.add("CONVOLUTION", [network.pair(x), *extra], MADE, name="stem", **inside)

    found = only(declare(fill))
    assert (found.precision, found.reason) == ("fp32", "its weight is not dequantized INT8")
    assert found.macs == 8 * 36 * 36


@pytest.mark.parametrize(
    ("dtype", "precision"), [("FLOAT", "fp32"), ("HALF", "fp16"), ("BF16", "bf16"), ("INT32", "other")]
)
def test_a_typed_network_computes_in_its_types(dtype: str, precision: str) -> None:
    found = declare(lambda n, x: n.add("CONVOLUTION", [x, n.constant(KERNEL)], MADE, dtype))
    assert found.shares() == {precision: 1.0}
    assert found.source == "TensorRT-RTX 1.7.1, typed network"


@pytest.mark.parametrize(
    ("settings", "allowed", "precision"),
    [
        ({"regime": "untyped"}, True, "fp16"),
        ({"regime": "untyped"}, False, "fp32"),
        ({"regime": "typed"}, True, "fp32"),
    ],
)
def test_fp16_flags_count_in_untyped_networks_alone(settings: dict[str, Any], allowed: bool, precision: str) -> None:
    found = declare(stem(plain, float_weight), version="10.3.0", fp16_allowed=allowed, **settings)
    assert only(found).precision == precision
    assert found.source == f"TensorRT 10.3.0, {settings['regime']} network"
    int8 = declare(stem(paired, int8_weight), version="10.3.0", fp16_allowed=allowed, **settings)
    assert only(int8).precision == "int8"


def test_products_of_two_activations_have_no_weight() -> None:
    def attention(network: FakeNetwork, x: Tensor) -> Tensor:
        keys = network.add("SHUFFLE", [x], (1, 16, 4))
        return network.add("MATRIX_MULTIPLY", [x, keys], (1, 4, 4), name="attention", **PRODUCT)

    found = declare(attention, (1, 4, 16))
    assert not only(found).has_weight
    found.demand(PrecisionPlan.int8())


@pytest.mark.parametrize("constant_first", [False, True])
@pytest.mark.parametrize(
    ("quantized", "precision", "reason"),
    [
        (("activation", "weight"), "int8", ""),
        (("weight",), "fp32", "its activation is not dequantized INT8"),
        (("activation",), "fp32", "its weight is not dequantized INT8"),
    ],
)
def test_the_weight_of_a_linear_layer_may_stand_on_either_side(
    constant_first: bool, quantized: tuple[str, ...], precision: str, reason: str
) -> None:
    def linear(network: FakeNetwork, x: Tensor) -> Tensor:
        given = network.pair(x) if "activation" in quantized else x
        weight = network.weight(1, 16, 16) if "weight" in quantized else network.constant((1, 16, 16))
        sides = [weight, given] if constant_first else [given, weight]
        return network.add("MATRIX_MULTIPLY", sides, (1, 16, 16), name="linear", **PRODUCT)

    found = only(declare(linear, (1, 16, 16)))
    assert (found.precision, found.reason, found.has_weight) == (precision, reason, True)


def test_names_of_torch_tensorrt_are_paths_of_modules() -> None:
    name = "[CONVOLUTION]-[aten_ops.convolution.default]-[encoder.stem.0/convolution_21]"

    def fill(network: FakeNetwork, x: Tensor) -> Tensor:
        return network.add("CONVOLUTION", [network.pair(x), network.weight(*KERNEL)], MADE, name=name)

    assert only(declare(fill)).name == "encoder.stem.0"


def test_layers_that_multiply_nothing_are_left_out() -> None:
    found = declare(lambda n, x: n.add("ACTIVATION", [n.pair(x)], IMAGE))
    assert found.layers == ()
