"""`u8` graphs that stop at int8's largest level: as s8 beyond the calibrated range, and still in integer kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edge.compress.dialects.kernels import integer_kernels
from edge.compress.dialects.saturation import saturate_levels
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx, run_graph
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static

if TYPE_CHECKING:
    from tests.compress.conftest import Quantized


def written(model: nn.Module, values: torch.Tensor) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The dialects of a model whose scales cut off a tenth of each tensor; 7 bits run exactly on every host."""
    config = QuantizeConfig(weight_bits=7, observer="percentile", percentile=90, bias_correction=False)
    module = quantize_static(model.eval(), (values,), [(values,)], config)
    s8 = write_s8(export_onnx(module, (values[:1],), ["x"], ["y"]))
    return s8, write_u8(s8)


def deep() -> nn.Module:
    torch.manual_seed(0)
    early = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    late = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU6(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Flatten())
    model = nn.Sequential(early, late, nn.Linear(32, 4))
    with torch.no_grad():
        model.get_parameter("1.0.weight").mul_(20)  # so that results reach 6
    return model


def images() -> torch.Tensor:
    return torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def largest_deviation(first: onnx.ModelProto, second: onnx.ModelProto, values: torch.Tensor) -> float:
    pairs = ([run_graph(g, {"x": v[None].numpy()})[0] for g in (first, second)] for v in values)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def test_what_int8_cuts_off_is_cut_off() -> None:
    """A plain `u8` lets it through."""
    s8, u8 = written(deep(), images())
    plain, saturated = (largest_deviation(s8, graph, images()) for graph in (u8, saturate_levels(u8)))
    spread = float(np.std([run_graph(s8, {"x": v[None].numpy()})[0] for v in images()]))
    assert plain > 0.5 * spread
    assert saturated < 0.1 * plain


def test_one_clip_stands_behind_each_layer_and_none_behind_pooling() -> None:
    _, u8 = written(deep(), images())
    graph = saturate_levels(u8)
    onnx.checker.check_model(graph, full_check=True)
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
    clips = [n for n in graph.graph.node if n.op_type == "Clip"]
    assert len(clips) == 3 and len([n for n in u8.graph.node if n.op_type == "Clip"]) == 1
    assert all(values[clip.input[1]] == 0 and values[clip.input[2]] <= 127 for clip in clips)
    makers = {name: n for n in graph.graph.node for name in n.output}
    assert {makers[clip.input[0]].op_type for clip in clips} == {"QuantizeLinear"}


def test_every_layer_stays_in_an_integer_kernel(three_branch: Quantized) -> None:
    report = integer_kernels(saturate_levels(three_branch.u8))
    plain = integer_kernels(three_branch.u8)
    assert {kind: count.float for kind, count in report.kinds.items()} == dict.fromkeys(report.kinds, 0)
    assert report.kinds == plain.kinds


def test_what_can_be_negative_is_left_alone() -> None:
    """Its levels stand around 128 and stop where int8 does already."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.Hardswish(), nn.Conv2d(4, 2, 1))
    _, u8 = written(layers, images())
    assert not any(n.op_type == "Clip" for n in saturate_levels(u8).graph.node)


@pytest.mark.parametrize("times", [1, 2])
def test_it_is_the_same_bytes_every_time_and_twice_is_once(times: int) -> None:
    _, u8 = written(deep(), images())
    once = saturate_levels(u8)
    again = u8
    for _ in range(times):
        again = saturate_levels(again)
    assert again.SerializeToString() == once.SerializeToString()
