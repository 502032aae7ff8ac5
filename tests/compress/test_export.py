from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import check_graph, export_onnx, export_program, largest_error, run_graph
from edge.compress.program.file import pack_program, read_program
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.quantize.tracing import trace
from edge.runtime.errors import ModelError
from tests.compress.dialects.drawn_graphs import Drawing


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.body = nn.Sequential(*(nn.Conv2d(32, 32, 3, padding=1) for _ in range(16)))
        self.head = nn.Linear(32, 4)

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.body(self.stem(image))) * present[:, :1, None, None]
        return features, self.head(features.mean((2, 3)))


NAMES = ("image", "present"), ("features", "logits")


def inputs(batch: int = 1) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, 3, 10, 12), torch.ones(batch, 2)


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def graph(net: Net) -> onnx.ModelProto:
    return export_onnx(net, inputs(), *NAMES)


def test_the_graph_is_valid_fixed_at_batch_1_and_of_opset_18(graph: onnx.ModelProto) -> None:
    check_graph(graph)
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 18)]
    shapes = [[d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.graph.input]
    assert shapes == [[1, 3, 10, 12], [1, 2]]
    assert [i.name for i in graph.graph.input] == list(NAMES[0])
    assert [o.name for o in graph.graph.output] == list(NAMES[1])


def test_it_computes_what_the_module_does(net: Net, graph: onnx.ModelProto) -> None:
    for _ in range(3):
        values = inputs()
        with torch.no_grad():
            expected = net(*values)
        assert largest_error(graph, dict(zip(NAMES[0], values, strict=True)), expected) < 1e-5


def test_exporting_leaves_the_mode_and_the_weights_alone(net: Net) -> None:
    net.train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    export_onnx(net, inputs(), *NAMES)
    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    net.eval()


def test_bytes_are_the_same_every_time(net: Net, graph: onnx.ModelProto) -> None:
    torch.manual_seed(1)
    again = export_onnx(net, inputs(), *NAMES)
    assert again.SerializeToString() == graph.SerializeToString()


def test_nothing_of_this_machine_is_in_the_file(graph: onnx.ModelProto) -> None:
    data = graph.SerializeToString()
    assert not any(mark in data for mark in (b".py", b"torch", b"site-packages", bytes(Path.cwd())))
    assert graph.producer_name == "edge"


def test_layers_keep_the_paths_of_their_modules(graph: onnx.ModelProto) -> None:
    names = {n.name for n in graph.graph.node if n.op_type in ("Conv", "Gemm")}
    assert names == {"stem.0", *(f"body.{i}" for i in range(16)), "head"}


def test_constants_are_stored_once(graph: onnx.ModelProto) -> None:
    stored = [(t.data_type, tuple(t.dims), t.raw_data) for t in graph.graph.initializer]
    assert len(set(stored)) == len(stored)


def test_150_thousand_parameters_become_less_than_200_kilobytes() -> None:
    torch.manual_seed(0)
    net = Net().eval()
    parameters = sum(p.numel() for p in net.parameters())
    assert parameters == pytest.approx(150_000, rel=0.02)
    module = quantize_static(net, inputs(2), [inputs(2)])
    quantized = export_onnx(module, inputs(), *NAMES)
    assert quantized.ByteSize() < 200_000
    weights = [numpy_helper.to_array(t) for t in quantized.graph.initializer if len(t.dims) > 1]
    assert sum(w.size for w in weights if w.dtype == np.int8) > 0.98 * parameters


class Bessel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.special.bessel_j0(x)
        return result


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Bessel(), r"layer '1\.inner' does not export to ONNX \(operator aten\.special_bessel_j0"),
        (Branching(), r"layer '1\.inner' does not export"),
    ],
)
def test_a_layer_that_does_not_export_is_named(
    layer: nn.Module, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    outer = nn.Sequential()
    outer.add_module("inner", layer)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), outer)
    with pytest.raises(ModelError, match=message):
        export_onnx(model, (torch.randn(1, 3, 8, 8),), ["x"], ["y"])
    assert capfd.readouterr() == ("", "")


def test_exporting_is_quiet(net: Net, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        export_onnx(net, inputs(), *NAMES)
    assert capfd.readouterr() == ("", "")
    assert {r.name for r in caplog.records} == {"edge.compress.export"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((inputs(2), *NAMES), "'image' has shape"),
        ((inputs(), ("image",), NAMES[1]), "2 example inputs but 1"),
        ((inputs(), NAMES[0], ("logits",)), "2 outputs but 1"),
    ],
)
def test_names_and_shapes_are_checked(net: Net, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        export_onnx(net, *arguments)


def test_a_model_that_returns_a_dictionary_is_refused() -> None:
    class Named(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"y": x + 1}

    with pytest.raises(ModelError, match="returns dict"):
        export_onnx(Named(), (torch.zeros(1, 3),), ["x"], ["y"])


def test_an_invalid_graph_is_refused(graph: onnx.ModelProto) -> None:
    broken = onnx.ModelProto.FromString(graph.SerializeToString())
    broken.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ModelError, match="not valid ONNX"):
        check_graph(broken)
    with pytest.raises(ModelError, match="ONNX Runtime refuses"):
        run_graph(broken, {})


def test_int8_is_what_the_graph_says_where_integer_kernels_saturate() -> None:
    """Without VNNI two products of uint8 and int8 are added in 16 bits, where 255 times 127 twice has no place."""
    drawing = Drawing({"x": (1, 64, 3, 3)})
    levels = drawing.constant(np.full((4, 64, 1, 1), 127), np.int8)
    pair = drawing.constant(np.full(4, 2.0**-6)), drawing.constant(np.zeros(4), np.int8)
    weight = drawing.node("DequantizeLinear", [levels, *pair], axis=0)
    s8 = write_s8(drawing.model(drawing.node("Conv", [drawing.quantized("x", 0.5), weight], name="conv")))
    given: dict[str, Any] = {"x": np.full((1, 64, 3, 3), 127 * 0.5, np.float32)}
    wanted = np.full((1, 4, 3, 3), 64 * (127 * 0.5) * (127 * 2.0**-6))
    for graph in (s8, write_u8(s8)):
        np.testing.assert_array_equal(run_graph(graph, given)[0], wanted)


def test_a_program_with_an_operator_that_onnx_lacks_names_its_layer() -> None:
    outer = nn.Sequential()
    outer.add_module("inner", Bessel())
    content = pack_program(trace(nn.Sequential(outer), (torch.zeros(1, 3),)), ["x"], ["y"])
    with pytest.raises(
        ModelError, match=r"layer '0\.inner' does not export to ONNX \(operator aten\.special_bessel_j0"
    ):
        export_program(read_program(content, "program.pt2"))
