"""Weights of 7 bits: on x86 without VNNI integer kernels compute what the graph says, and those of 8 bits do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edge.compress.dialects.kernels import integer_kernels
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine, must_emulate
from edge.runtime.engines.weight_levels import has_seven_bit_weights

if TYPE_CHECKING:
    from typing import Literal

    import onnx


class Loud(nn.Module):
    """Every kind of layer, with weights near the ends of their range: pairs of products overflow."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depth = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.point, self.down = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 3, stride=2)
        self.up, self.head = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(8, 4, 3)
        self.event = nn.Linear(16, 8)
        with torch.no_grad():
            for parameter in (p for p in self.parameters() if p.ndim > 1):
                parameter.copy_(parameter.sign() * parameter.abs().max() * 0.9 + parameter * 0.1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        local = self.point(self.depth(self.stem(x).relu()).relu()).relu()
        shared = self.down(local).relu()
        return self.head(self.up(shared).relu()), self.event(shared.mean((2, 3)))


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def graphs(inputs: Tensor, bits: Literal[7, 8]) -> dict[str, onnx.ModelProto]:
    torch.manual_seed(0)
    module = quantize_static(Loud().eval(), (inputs,), [(inputs,)], QuantizeConfig(weight_bits=bits))
    s8 = write_s8(export_onnx(module, (inputs[:1],), ["x"], ["grid", "event"]))
    return {"s8": s8, "u8": write_u8(s8)}


@pytest.fixture(scope="module")
def seven(inputs: Tensor) -> dict[str, onnx.ModelProto]:
    return graphs(inputs, 7)


@pytest.fixture(scope="module")
def eight(inputs: Tensor) -> dict[str, onnx.ModelProto]:
    return graphs(inputs, 8)


def deviation(graph: onnx.ModelProto, dialect: str, inputs: Tensor) -> float:
    """Largest difference of integer kernels from emulation, as a share of the tensor's largest magnitude."""
    data = graph.SerializeToString()
    integer = OnnxRuntimeEngine(data, dialect, emulate_int8=False)
    emulated = OnnxRuntimeEngine(data, dialect, emulate_int8=True)
    worst = 0.0
    for sample in inputs.split(1):
        found, wanted = integer.run({"x": sample.numpy()}), emulated.run({"x": sample.numpy()})
        worst = max(worst, *(float(np.abs(found[n] - wanted[n]).max() / np.abs(wanted[n]).max()) for n in wanted))
    return worst


def weights(graph: onnx.ModelProto) -> list[int]:
    arrays = [numpy_helper.to_array(t) for t in graph.graph.initializer]
    return [int(np.abs(a.astype(int)).max()) for a in arrays if a.dtype == np.int8 and a.ndim > 1]


def test_every_weight_lies_within_63(seven: dict[str, onnx.ModelProto], eight: dict[str, onnx.ModelProto]) -> None:
    for dialect in ("s8", "u8"):
        assert set(weights(seven[dialect])) == {63}
        assert set(weights(eight[dialect])) == {127}
        assert has_seven_bit_weights(seven[dialect].SerializeToString())
        assert not has_seven_bit_weights(eight[dialect].SerializeToString())


def test_integer_kernels_compute_what_emulation_does(seven: dict[str, onnx.ModelProto], inputs: Tensor) -> None:
    assert integer_kernels(seven["u8"]).kinds["convolutions"].integer > 0
    for dialect, graph in seven.items():
        assert deviation(graph, dialect, inputs) < 0.03


def test_eight_bits_saturate_where_there_is_no_vnni(eight: dict[str, onnx.ModelProto], inputs: Tensor) -> None:
    if not must_emulate("u8"):
        pytest.skip("this host's integer kernels do not saturate")
    assert deviation(eight["u8"], "u8", inputs) > 0.06


def test_the_engine_emulates_only_what_saturates(
    seven: dict[str, onnx.ModelProto], eight: dict[str, onnx.ModelProto]
) -> None:
    ending = "-emulated" if must_emulate("u8") else ""
    assert OnnxRuntimeEngine(seven["u8"].SerializeToString(), "u8").name == "onnxruntime-cpu/u8"
    assert OnnxRuntimeEngine(eight["u8"].SerializeToString(), "u8").name == f"onnxruntime-cpu/u8{ending}"
