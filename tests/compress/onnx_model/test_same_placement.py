"""The ONNX road and the PT2E road put Q/DQ on the same tensors, with the same scales."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.compress.dialects.writing import write_s8
from edge.compress.export import export_onnx
from edge.compress.onnx_model.config import OnnxQuantizeConfig
from edge.compress.onnx_model.static_quantization import quantize_onnx
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from tests.compress.conftest import ThreeBranch, TwoBranch, scenes
from tests.compress.onnx_model.models import CASES, as_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx
    from torch import Tensor, nn

_PLUMBING = {"QuantizeLinear", "DequantizeLinear", "Reshape", "Transpose"}


def both_roads(
    model: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...], **settings: object
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    values, one = tuple(inputs.values()), tuple(t[:1] for t in inputs.values())
    config = {"bias_correction": False, **settings}
    module = quantize_static(model, values, [values], QuantizeConfig.model_validate(config))
    float_graph = export_onnx(model, one, tuple(inputs), outputs)
    samples = as_samples(float_graph, {name: t.numpy() for name, t in inputs.items()})
    by_file = quantize_onnx(float_graph, samples, OnnxQuantizeConfig.model_validate(config))
    return write_s8(export_onnx(module, one, tuple(inputs), outputs)), by_file.s8


def layers(model: onnx.ModelProto) -> Iterator[tuple[str, str, list[tuple[float, ...]]]]:
    """Operator, name, and the scales of each input: none where it is float."""
    graph = OnnxGraph(model)
    makers = graph.producers()
    for node in graph.nodes:
        if node.op_type in _PLUMBING:
            continue
        scales: list[tuple[float, ...]] = []
        for name in node.input:
            maker = makers.get(name)
            while maker is not None and maker.op_type in ("Reshape", "Transpose"):
                maker = makers.get(maker.input[0])
            quantized = maker is not None and maker.op_type == "DequantizeLinear"
            scales.append(tuple(np.atleast_1d(graph.array(maker.input[1])).tolist()) if quantized and maker else ())
        yield node.op_type, node.name, scales


def assert_same(first: onnx.ModelProto, second: onnx.ModelProto) -> None:
    pairs = [sorted(layers(m), key=lambda layer: (layer[0], layer[1])) for m in (first, second)]
    names = [Counter((operator, name) for operator, name, _ in found) for found in pairs]
    assert names[0] == names[1]
    for (operator, name, expected), (_, _, found) in zip(*pairs, strict=True):
        for a, b in zip(expected, found, strict=True):
            assert len(a) == len(b), f"{operator} {name} is quantized on one road only"
            assert a == pytest.approx(b, rel=1e-4), f"{operator} {name}"
    quantizers = [sum(n.op_type == "QuantizeLinear" for n in m.graph.node) for m in (first, second)]
    assert quantizers[0] == quantizers[1] > 0


def with_statistics(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*inputs)
    return model.eval()


@pytest.mark.parametrize("observer", ["minmax", "moving_average"])
def test_two_branches(observer: str) -> None:
    torch.manual_seed(0)
    inputs = scenes(12, torch.Generator().manual_seed(0))[0][:2]
    model = with_statistics(TwoBranch(), inputs)
    roads = both_roads(model, dict(zip(("camera", "lidar"), inputs, strict=True)), ("grid",), observer=observer)
    assert_same(*roads)


def test_three_gated_branches_and_two_heads() -> None:
    torch.manual_seed(0)
    inputs = scenes(12, torch.Generator().manual_seed(0))[0]
    model = with_statistics(ThreeBranch(), inputs)
    names = ("camera", "lidar", "audio", "present")
    assert_same(*both_roads(model, dict(zip(names, inputs, strict=True)), ("grid", "event")))


@pytest.mark.parametrize("name", ["mixed", "vit"])
def test_files_of_people(taught_model: Callable[[str], nn.Module], name: str) -> None:
    inputs = {n: torch.from_numpy(v) for n, v in CASES[name].draw(12, 1)[0].items()}
    assert_same(*both_roads(taught_model(name), inputs, ("logits",)))


def test_layers_that_are_kept_float(taught_model: Callable[[str], nn.Module]) -> None:
    inputs = {n: torch.from_numpy(v) for n, v in CASES["mixed"].draw(12, 1)[0].items()}
    assert_same(*both_roads(taught_model("mixed"), inputs, ("logits",), keep_float=("depthwise", "head")))
