"""INT8 of transposed and 3-D convolutions in a real compiler: what it builds, and what it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from edge.compile.board.graph_compiler import compile_graph
from edge.compile.tensorrt.builder import BuildError
from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compress.precision_plan import PrecisionPlan
from tests.preflight.conftest import compile_forms

if TYPE_CHECKING:
    from edge.compile.board.graph_compiler import CompiledGraph
    from edge.compile.tensorrt.library import TensorRTLibrary

pytestmark = pytest.mark.preflight
WIDTH = 32


class Upsampler(nn.Module):
    """Down, up by a transposed convolution, and the skip between them."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.up, self.head = up, nn.Conv2d(2 * WIDTH, 8, 1)

    def forward(self, image: Tensor) -> Tensor:
        skip = self.down(image).relu()
        result: Tensor = self.head(torch.cat([skip, self.up(self.middle(skip).relu()).relu()], 1))
        return result


def line_upsampler() -> nn.Module:
    up = nn.ConvTranspose1d(WIDTH, WIDTH, 4, 2, 1)
    return nn.Sequential(nn.Conv1d(4, WIDTH, 3, padding=1), nn.ReLU(), up, nn.ReLU(), nn.Conv1d(WIDTH, 4, 1))


def volume() -> nn.Module:
    first, second = nn.Conv3d(4, WIDTH, 3, padding=1), nn.Conv3d(WIDTH, WIDTH, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv3d(WIDTH, 8, 1))


PLANES: dict[str, tuple[int, ...]] = {"x": (3, 32, 32)}
CASES: dict[str, tuple[nn.Module, dict[str, tuple[int, ...]]]] = {
    "kernel 2, stride 2": (Upsampler(nn.ConvTranspose2d(WIDTH, WIDTH, 2, stride=2)), PLANES),
    "kernel 3, padded": (Upsampler(nn.ConvTranspose2d(WIDTH, WIDTH, 3, 2, 1, 1)), PLANES),
    "grouped": (Upsampler(nn.ConvTranspose2d(WIDTH, WIDTH, 4, 2, 1, groups=4)), PLANES),
    "one dimension": (line_upsampler(), {"x": (4, 64)}),
    "three dimensions": (volume(), {"x": (4, 8, 16, 16)}),
}


def compiled(case: str, capability: str, library: TensorRTLibrary) -> CompiledGraph:
    model, shapes = CASES[case]
    graph = compile_forms(model, shapes, ("y",)).s8
    config = EngineConfig(compute_capability=capability)
    return compile_graph(library, graph.SerializeToString(), config, PrecisionPlan.int8())


@pytest.mark.parametrize("case", CASES)
def test_an_engine_is_built_in_int8_as_declared(case: str, library: TensorRTLibrary) -> None:
    found = compiled(case, "8.6", library)
    assert found.declared.shares() == {"int8": 1.0}
    assert found.engine.plan


def test_the_oldest_device_takes_transposed_ones_and_none_of_three_dimensions(library: TensorRTLibrary) -> None:
    assert compiled("kernel 3, padded", "7.5", library).engine.plan
    with pytest.raises(BuildError, match=r"Cannot compile operation '0' for Turing \(SM75\): FP32 3D convolution"):
        compiled("three dimensions", "7.5", library)
