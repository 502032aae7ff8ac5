"""Transposed and 3-D convolutions in INT8: scales, dialects, and what the graphs declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

from edge.compile.precision.declared_in_graph import graph_precision
from edge.compress.dialects.half_regions import write_half
from edge.compress.dialects.kernels import integer_kernels
from edge.compress.dialects.unquantized import left_float
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import check_graph, export_onnx, run_graph
from edge.compress.precision_plan import PrecisionPlan
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.placement import PlacementQuantizer
from edge.compress.quantize.pt2e import export_float, quantize_static
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


class Upsampler(nn.Module):
    """A layer between two convolutions, with its batch norm."""

    def __init__(self, up: nn.Module, norm: nn.Module, convolution: type[nn.Conv1d | nn.Conv2d | nn.Conv3d]) -> None:
        super().__init__()
        self.before, self.up, self.norm, self.head = convolution(3, 8, 1), up, norm, convolution(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.norm(self.up(self.before(x).relu())).relu())
        return result


SHAPES = {"1d": (3, 12), "2d": (3, 6, 6), "3d": (3, 4, 5, 6)}
UPS: dict[str, tuple[nn.Module, nn.Module, type[Any], str]] = {
    "stride 2": (nn.ConvTranspose2d(8, 8, 2, 2), nn.BatchNorm2d(8), nn.Conv2d, "2d"),
    "padded, no bias": (nn.ConvTranspose2d(8, 8, 3, 2, 1, 1, bias=False), nn.BatchNorm2d(8), nn.Conv2d, "2d"),
    "grouped": (nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=4), nn.BatchNorm2d(8), nn.Conv2d, "2d"),
    "dilated": (nn.ConvTranspose2d(8, 8, 3, 1, 1, dilation=2), nn.Identity(), nn.Conv2d, "2d"),
    "one dimension": (nn.ConvTranspose1d(8, 8, 4, 2, 1, groups=2), nn.BatchNorm1d(8), nn.Conv1d, "1d"),
    "volume": (nn.Conv3d(8, 8, 3, padding=1, groups=2), nn.BatchNorm3d(8), nn.Conv3d, "3d"),
}


def settled(kind: str) -> tuple[nn.Module, Tensor]:
    """A model whose batch norms have seen something, and inputs."""
    torch.manual_seed(0)
    up, norm, convolution, rank = UPS[kind]
    model, inputs = Upsampler(up, norm, convolution), torch.randn(8, *SHAPES[rank])
    with torch.no_grad():
        for _ in range(3):
            model.train()(inputs * 2 + 1)
    return model.eval(), inputs


def s8_of(model: nn.Module, inputs: Tensor, config: QuantizeConfig | None = None) -> tuple[onnx.ModelProto, Tensor]:
    module = quantize_static(model, (inputs,), [(inputs,)], config)
    with torch.no_grad():
        expected: Tensor = module(inputs[:1])
    return write_s8(export_onnx(module, (inputs[:1],), ["x"], ["y"])), expected


@pytest.mark.parametrize("kind", UPS)
def test_folding_the_batch_norm_keeps_the_function(kind: str) -> None:
    model, inputs = settled(kind)
    with torch.no_grad():
        torch.testing.assert_close(export_float(model, (inputs,))(inputs), model(inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", UPS)
def test_every_dialect_computes_what_torch_does(kind: str) -> None:
    model, inputs = settled(kind)
    s8, expected = s8_of(model, inputs)
    step = float(expected.abs().max()) / 127
    with torch.no_grad():
        assert float((model(inputs[:1]) - expected).abs().max()) < 4 * step
    exact = OnnxRuntimeEngine(s8.SerializeToString(), "s8", emulate_int8=True).run({"x": inputs[:1].numpy()})["y"]
    np.testing.assert_allclose(exact, expected.numpy(), atol=1e-5)
    # Integer kernels, which hosts with VNNI have for s8 too, round some values to the level beside.
    for graph, tolerance in ((s8, 1.5 * step), (write_u8(s8), 1.5 * step), (write_half(s8), 1.5 * step)):
        check_graph(graph)
        found = run_graph(graph, {"x": inputs[:1].numpy()})[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=tolerance)


@pytest.mark.parametrize("kind", UPS)
def test_every_layer_is_declared_int8_under_its_own_name(kind: str) -> None:
    s8, _ = s8_of(*settled(kind))
    report = graph_precision(s8)
    report.demand(PrecisionPlan.int8())
    assert [layer.name for layer in report.layers] == ["before", "up", "head"]
    assert left_float(s8) == {}


def scale_shapes(graph: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shape of the weight's scale, by layer."""
    constants: dict[str, NDArray[Any]] = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    makers = {n.output[0]: n for n in graph.graph.node}
    layers = [n for n in graph.graph.node if n.op_type in ("Conv", "ConvTranspose")]
    return {n.name: constants[makers[n.input[1]].input[1]].shape for n in layers}


def test_transposed_weights_have_one_scale_and_others_one_a_channel() -> None:
    assert scale_shapes(s8_of(*settled("grouped"))[0]) == {"before": (8,), "up": (), "head": (2,)}
    assert scale_shapes(s8_of(*settled("volume"))[0]) == {"before": (8,), "up": (8,), "head": (2,)}


def test_weights_stay_int8_where_activations_become_uint8() -> None:
    u8 = write_u8(s8_of(*settled("stride 2"))[0])
    constants = {t.name: numpy_helper.to_array(t) for t in u8.graph.initializer}
    makers = {n.output[0]: n for n in u8.graph.node}
    up = next(n for n in u8.graph.node if n.op_type == "ConvTranspose")
    activation, weight = makers[up.input[0]], makers[up.input[1]]
    assert constants[weight.input[0]].dtype == np.int8
    assert constants[activation.input[2]].dtype == np.uint8


def test_volumes_run_in_integer_kernels_on_x86() -> None:
    model, inputs = settled("volume")
    with_pool = nn.Sequential(model, nn.MaxPool3d(2), nn.Conv3d(2, 4, 1)).eval()
    report = integer_kernels(write_u8(s8_of(with_pool, inputs)[0]))
    assert report.kinds["convolutions"].float == 0
    assert report.kinds["convolutions"].integer + report.kinds["linears"].integer == 4


def test_what_others_read_is_not_changed_by_the_batch_norm_behind_it() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            raw = self.layer(x)
            result: Tensor = self.norm(raw) + raw
            return result

    torch.manual_seed(0)
    model, inputs = Shared(), torch.randn(8, 3, 6, 6)
    for _ in range(3):
        model(inputs * 3 + 2)
    prepared = prepare_pt2e(export_float(model.eval(), (inputs,)), PlacementQuantizer())
    with torch.no_grad():
        torch.testing.assert_close(prepared(inputs), model(inputs), atol=1e-5, rtol=1e-5)
