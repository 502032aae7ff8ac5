"""The layers of a network as facts: names of modules, multiply-accumulates, weights, and what feeds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.tensorrt.network_layers import inputs_of, module_path, read_network, second_input
from tests.edge.compile.tensorrt.fake_network import FakeNetwork, MatrixOperation, Tensor
from tests.edge.compile.tensorrt.fake_tensorrt import fake_library, parsed_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.compile.tensorrt.network_layers import NetworkGraph, NetworkLayer

IMAGE = (1, 4, 10, 12)


def read(fill: Callable[[FakeNetwork, Tensor], Any], shape: tuple[int, ...] = IMAGE) -> NetworkGraph:
    library = fake_library()
    library.trt.on_parse = lambda network, _graph: fill(network, network.input("x", shape)) and None
    return read_network(parsed_by(library))


def only(graph: NetworkGraph, kind: str) -> NetworkLayer:
    (found,) = (layer for layer in graph.layers if layer.kind == kind)
    return found


def products(op0: str = "NONE", op1: str = "NONE") -> dict[str, Any]:
    return {"op0": MatrixOperation[op0], "op1": MatrixOperation[op1]}


def test_a_convolution_whose_kernel_is_a_tensor() -> None:
    graph = read(lambda n, x: n.add("CONVOLUTION", [x, n.constant((8, 4, 3, 3))], (1, 8, 8, 10)))
    layer = only(graph, "CONVOLUTION")
    assert layer.macs == 8 * 8 * 10 * 4 * 9
    assert (layer.weights, layer.writes) == (0, 8 * 8 * 10)
    assert layer.reads == 4 * 10 * 12 + 8 * 4 * 9
    assert only(graph, "CONSTANT").weights == 8 * 4 * 9


@pytest.mark.parametrize("bias", [False, True])
def test_a_convolution_whose_kernel_lies_inside_it(bias: bool) -> None:
    """A bias may be a tensor where the kernel is not: it is no kernel."""

    def fill(n: FakeNetwork, x: Tensor) -> Tensor:
        inputs = [x, None, n.constant((8,))] if bias else [x]
        inside: dict[str, Any] = {"num_output_maps": 8, "num_groups": 2, "kernel_size_nd": (3, 5)}
        return n.add("CONVOLUTION", inputs, (1, 8, 8, 8), **inside)

    layer = only(read(fill), "CONVOLUTION")
    assert layer.macs == 8 * 8 * 8 * 2 * 15
    assert layer.weights == 8 * 2 * 15
    assert second_input(layer.layer) is None
    assert len(inputs_of(layer.layer)) == 1 + bias


def test_a_transposed_convolution_works_at_every_input() -> None:
    graph = read(lambda n, x: n.add("DECONVOLUTION", [x, n.constant((4, 6, 2, 2))], (1, 6, 20, 24)))
    assert only(graph, "DECONVOLUTION").macs == 4 * 10 * 12 * 6 * 4


def test_a_transposed_convolution_whose_kernel_lies_inside_it() -> None:
    inside: dict[str, Any] = {"num_output_maps": 6, "num_groups": 2, "kernel_size_nd": (2, 2)}
    layer = only(read(lambda n, x: n.add("DECONVOLUTION", [x], (1, 6, 20, 24), **inside)), "DECONVOLUTION")
    assert layer.macs == 4 * 10 * 12 * 3 * 4
    assert layer.weights == 4 * 3 * 4


@pytest.mark.parametrize(
    ("left", "right", "made", "operations", "macs"),
    [
        ((5, 7), (7, 3), (5, 3), products(), 5 * 7 * 3),
        ((7, 5), (7, 3), (5, 3), products("TRANSPOSE"), 5 * 7 * 3),
        ((5, 7), (3, 7), (5, 3), products(op1="TRANSPOSE"), 5 * 7 * 3),
        ((7,), (7, 3), (3,), products("VECTOR"), 7 * 3),
        ((2, 5, 7), (2, 7, 3), (2, 5, 3), products(), 2 * 5 * 7 * 3),
    ],
)
def test_a_product_multiplies_along_what_it_contracts(
    left: tuple[int, ...], right: tuple[int, ...], made: tuple[int, ...], operations: dict[str, Any], macs: int
) -> None:
    graph = read(lambda n, x: n.add("MATRIX_MULTIPLY", [x, n.constant(right)], made, **operations), left)
    assert only(graph, "MATRIX_MULTIPLY").macs == macs


def test_other_layers_multiply_nothing_and_hold_nothing() -> None:
    layer = only(read(lambda n, x: n.add("ACTIVATION", [x], IMAGE)), "ACTIVATION")
    assert (layer.macs, layer.weights, layer.reads, layer.writes) == (0, 0, 480, 480)


def test_what_is_not_fixed_counts_as_one_sample() -> None:
    graph = read(
        lambda n, x: n.add("CONVOLUTION", [x, n.constant((8, 4, 3, 3))], (-1, 8, 8, 10)), shape=(-1, 4, 10, 12)
    )
    assert only(graph, "CONVOLUTION").macs == 8 * 8 * 10 * 4 * 9
    assert only(graph, "CONVOLUTION").reads == 480 + 288


@pytest.mark.parametrize(
    ("name", "metadata", "path"),
    [
        ("stem.0", "[ONNX Layer: stem.0]", "stem.0"),
        ("stem.0_2", "[ONNX Layer: stem.0]\x1e[ONNX Layer: stem.1]", "stem.0"),
        ("heads[0]", "[ONNX Layer: heads[0]]", "heads[0]"),
        ("(Unnamed Layer* 4) [Convolution]", "", "(Unnamed Layer* 4) [Convolution]"),
        ("[CONVOLUTION]-[aten_ops.convolution.default]-[encoder.stem.0/convolution_21]", "", "encoder.stem.0"),
        ("[CONVOLUTION]-[aten_ops.conv2d.default]-[a.b/c.d/conv_1]", "", "a.b/c.d"),
        (
            "[MATRIX_MULTIPLY]-[aten_ops.linear.default]-[linear_3]",
            "",
            "[MATRIX_MULTIPLY]-[aten_ops.linear.default]-[linear_3]",
        ),
    ],
)
def test_layers_have_the_paths_of_their_modules(name: str, metadata: str, path: str) -> None:
    graph = read(lambda n, x: n.add("ACTIVATION", [x], IMAGE, name=name, metadata=metadata))
    assert only(graph, "ACTIVATION").name == path
    assert module_path(only(graph, "ACTIVATION").layer) == path


def test_what_only_moves_values_is_looked_across() -> None:
    def fill(n: FakeNetwork, x: Tensor) -> Tensor:
        moved = n.pair(x)
        for kind in ("SHUFFLE", "SLICE", "GATHER", "IDENTITY", "SQUEEZE", "UNSQUEEZE"):
            moved = n.add(kind, [moved], IMAGE)
        return n.add("ACTIVATION", [moved], IMAGE)

    graph = read(fill)
    reader = only(graph, "ACTIVATION").layer
    maker = graph.behind(reader.get_input(0))
    assert maker is not None and maker.kind == "DEQUANTIZE"
    after = graph.behind(reader.get_output(0))
    assert after is not None and after.kind == "ACTIVATION"


def test_nothing_is_behind_an_input() -> None:
    graph = read(lambda n, x: n.add("ACTIVATION", [n.add("SHUFFLE", [x], IMAGE)], IMAGE))
    assert graph.behind(only(graph, "ACTIVATION").layer.get_input(0)) is None
