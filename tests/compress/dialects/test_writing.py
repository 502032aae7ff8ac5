from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from edge.compress.dialects.kernels import integer_kernels
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx, run_graph
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.compress.conftest import Quantized

GRAPHS = ("two_branch", "three_branch")


@pytest.fixture(params=GRAPHS)
def graphs(request: pytest.FixtureRequest) -> Quantized:
    found: Quantized = request.getfixturevalue(request.param)
    return found


def constants(graph: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}


def run(graphs: Quantized, graph: onnx.ModelProto) -> list[NDArray[Any]]:
    count = len(graphs.unseen[0])
    feeds = [{n: t[i : i + 1].numpy() for n, t in zip(graphs.inputs, graphs.unseen, strict=True)} for i in range(count)]
    return [np.concatenate(parts) for parts in zip(*(run_graph(graph, f) for f in feeds), strict=True)]


def dialects(
    model: nn.Module, *shapes: tuple[int, ...]
) -> tuple[onnx.ModelProto, onnx.ModelProto, dict[str, NDArray[Any]]]:
    calibration = [tuple(torch.randn(8, *s) for s in shapes)]
    module = quantize_static(model.eval(), calibration[0], calibration)
    example = tuple(t[:1] for t in calibration[0])
    inputs = [f"x{i}" for i in range(len(shapes))]
    outputs = module(*example)
    count = 1 if isinstance(outputs, torch.Tensor) else len(outputs)
    s8 = write_s8(export_onnx(module, example, inputs, [f"y{i}" for i in range(count)]))
    return s8, write_u8(s8), {n: t.numpy() for n, t in zip(inputs, example, strict=True)}


def test_both_dialects_pass_the_full_check(graphs: Quantized) -> None:
    for graph in (graphs.s8, graphs.u8):
        onnx.checker.check_model(graph, full_check=True)


def test_s8_is_symmetric_and_has_no_quantized_bias(graphs: Quantized) -> None:
    values = constants(graphs.s8)
    makers = {n.output[0]: n for n in graphs.s8.graph.node}
    for node in graphs.s8.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert values[node.input[2]].dtype == np.int8
            assert not values[node.input[2]].any()
        if node.op_type in ("Conv", "Gemm"):
            assert values[node.input[2]].dtype == np.float32
            assert values[makers[node.input[1]].input[0]].dtype == np.int8


def test_u8_runs_every_layer_in_integer_kernels(graphs: Quantized) -> None:
    report = integer_kernels(graphs.u8)
    assert {kind: count.float for kind, count in report.kinds.items()} == dict.fromkeys(report.kinds, 0)
    floats = Counter(n.op_type for n in graphs.fp32.graph.node)
    layers = report.kinds["convolutions"].integer + report.kinds["linears"].integer
    assert layers == floats["Conv"] + floats["Gemm"] + floats["MatMul"]
    assert report.kinds["concatenations"].integer == floats["Concat"] == 1
    assert report.kinds["additions"].integer == floats["Add"] > 0


def test_s8_on_x86_does_not(graphs: Quantized) -> None:
    assert integer_kernels(graphs.s8).kinds["convolutions"].float > 0


def test_u8_agrees_with_s8(graphs: Quantized) -> None:
    for s8, u8 in zip(run(graphs, graphs.s8), run(graphs, graphs.u8), strict=True):
        assert (s8.argmax(1) == u8.argmax(1)).mean() >= 0.995


def test_s8_computes_what_torch_does(graphs: Quantized) -> None:
    with torch.no_grad():
        expected = graphs.module(*graphs.unseen)
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    for s8, torched in zip(run(graphs, graphs.s8), expected, strict=True):
        assert (s8.argmax(1) == torched.argmax(1).numpy()).mean() >= 0.995
        assert np.square(s8 - torched.numpy()).mean() < 1e-3 * torched.var().item()


def test_scales_are_the_same_in_both(graphs: Quantized) -> None:
    def scales(graph: onnx.ModelProto) -> set[float]:
        values = constants(graph)
        return {float(values[n.input[1]]) for n in graph.graph.node if n.op_type == "QuantizeLinear"}

    assert scales(graphs.u8) <= scales(graphs.s8)


def test_int8_weights_take_a_byte_each(graphs: Quantized) -> None:
    parameters = sum(p.numel() for p in graphs.model.parameters())
    stored = sum(v.size for v in constants(graphs.s8).values() if v.dtype == np.int8 and v.ndim > 1)
    assert stored > 0.95 * parameters
    assert graphs.s8.ByteSize() < 1.1 * parameters + 12_000
    assert graphs.u8.ByteSize() < graphs.s8.ByteSize() + 6_000


def test_dialects_are_the_same_bytes_every_time(graphs: Quantized) -> None:
    assert write_u8(graphs.s8).SerializeToString() == graphs.u8.SerializeToString()
    assert write_s8(graphs.s8).SerializeToString() == graphs.s8.SerializeToString()


def test_known_graph_gives_known_levels() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 3, padding=1))
    with torch.no_grad():
        layer.get_parameter("0.weight").fill_(0.5)
        layer.get_parameter("0.bias").fill_(0.3)
    values = torch.linspace(-12.7, 12.7, 64).reshape(1, 1, 8, 8)
    module = quantize_static(layer, (values,), [(values,)])
    u8 = write_u8(export_onnx(module, (values,), ["x"], ["y"]))
    found = constants(u8)
    into, after_relu = [n for n in u8.graph.node if n.op_type == "QuantizeLinear"]
    assert found[into.input[1]] == pytest.approx(0.1)
    assert found[into.input[2]] == 128
    assert found[after_relu.input[1]] == pytest.approx((6.35 + 0.3) / 127, rel=1e-2)
    assert found[after_relu.input[2]] == 0
    assert "Relu" not in {n.op_type for n in u8.graph.node}
    conv = next(n for n in u8.graph.node if n.op_type == "Conv")
    bias = next(n for n in u8.graph.node if n.output[0] == conv.input[2])
    assert found[bias.input[0]].dtype == np.int32
    assert found[bias.input[0]][0] == pytest.approx(0.3 / (0.1 * 0.5 / 127), rel=0.02)


def test_beyond_the_ceiling_u8_goes_on_where_s8_clips() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        for index in (0, 2):
            layer.get_parameter(f"{index}.weight").fill_(1.0)
            layer.get_parameter(f"{index}.bias").zero_()
    values = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
    module = quantize_static(layer, (values,), [(values,)])
    s8 = write_s8(export_onnx(module, (values,), ["x"], ["y"]))
    graph = onnx.ModelProto.FromString(s8.SerializeToString())
    makers = {n.output[0]: n for n in graph.graph.node}
    first = next(n for n in graph.graph.node if n.op_type == "Conv")
    weights = makers[first.input[1]]
    for tensor in graph.graph.initializer:
        if tensor.name == weights.input[1]:  # three times the gain that calibration saw
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 3, tensor.name))
    feeds: dict[str, NDArray[Any]] = {"x": np.full((1, 1, 8, 8), 0.6, np.float32)}
    clipped, passed = (np.asarray(run_graph(g, feeds)[0], np.float32) for g in (graph, write_u8(graph)))
    gain = clipped.max()
    assert passed.max() == pytest.approx(1.8 * gain, rel=0.02)


class Mobile(nn.Module):
    """Clips, depthwise, hard-swish, a one-dimensional branch and a 3x3 head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU6(), nn.Conv2d(16, 16, 3, 1, 1, groups=16))
        self.swish, self.mix = nn.Hardswish(), nn.Conv2d(16, 8, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(8, 3, 3, padding=1)
        self.series = nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.Conv1d(6, 2, 3))

    def forward(self, image: Tensor, series: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.up(torch.relu(self.mix(self.swish(self.stem(image)))))), self.series(series)


class Tokens(nn.Module):
    """A transformer's parts: embedding by convolution, norms, linears on sequences, GELU, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, 4)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.embed(image).flatten(2).transpose(1, 2)
        result: Tensor = self.head(self.norm(self.layer(tokens)).mean(1))
        return result


@pytest.mark.parametrize(
    ("model", "shapes", "layers"), [(Mobile, ((3, 16, 16), (2, 24)), 6), (Tokens, ((3, 16, 16),), 6)]
)
def test_other_architectures_land_in_integer_kernels_too(
    model: type[nn.Module], shapes: tuple[tuple[int, ...], ...], layers: int
) -> None:
    torch.manual_seed(0)
    s8, u8, feeds = dialects(model(), *shapes)
    onnx.checker.check_model(u8, full_check=True)
    report = integer_kernels(u8)
    found = report.kinds["convolutions"], report.kinds["linears"]
    assert sum(count.integer for count in found) == layers
    for a, b in zip(run_graph(s8, feeds), run_graph(u8, feeds), strict=True):
        assert np.abs(a - b).max() < 0.02 * np.abs(a).max()


def test_clips_move_onto_the_levels_without_a_change() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Hardtanh(-0.3, 0.7), nn.Conv2d(8, 4, 3))
    s8, u8, feeds = dialects(model, (2, 12, 12))
    assert integer_kernels(u8).kinds["convolutions"].float == 0
    np.testing.assert_allclose(run_graph(s8, feeds)[0], run_graph(u8, feeds)[0], atol=0.02)


@pytest.mark.parametrize("keep", ["zero point", "axis"])
def test_graphs_that_tensorrt_would_refuse_are_refused(graphs: Quantized, keep: str) -> None:
    broken = onnx.ModelProto.FromString(graphs.s8.SerializeToString())
    values = constants(broken)
    per_channel = next(n for n in broken.graph.node if n.op_type == "DequantizeLinear" and values[n.input[1]].ndim)
    if keep == "zero point":
        tensor = next(t for t in broken.graph.initializer if t.name == per_channel.input[2])
        tensor.CopyFrom(numpy_helper.from_array(np.ones_like(values[tensor.name]), tensor.name))
    else:
        del per_channel.attribute[:]
        per_channel.attribute.append(helper.make_attribute("axis", 1))
    with pytest.raises(ModelError, match="symmetric" if keep == "zero point" else "axis"):
        write_s8(broken)


def test_a_kept_layer_stays_float_in_both() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    calibration = [(torch.randn(4, 2, 12, 12),)]
    module = quantize_static(model, calibration[0], calibration, QuantizeConfig(keep_float=("2",)))
    u8 = write_u8(export_onnx(module, (calibration[0][0][:1],), ["x"], ["y"]))
    assert integer_kernels(u8).kinds["convolutions"].model_dump() == {"integer": 2, "float": 1}
