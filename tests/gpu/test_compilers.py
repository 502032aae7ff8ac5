"""Both roads on a device: an engine built, proved by the inspector and right on the goldens; an artefact for torch.

These tests have never run: no machine that they were written on had a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.errors import EdgeError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compile.board.host import BoardHost
    from edge.compress.program.file import Program

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def host() -> BoardHost:
    from edge.compile.board.host import open_host

    try:
        return open_host()
    except EdgeError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def quantized() -> tuple[Any, Program]:
    """A small INT8 network as ONNX graph and as torch program."""
    torch = pytest.importorskip("torch")
    from torch import nn

    from edge.compress.dialects.writing import write_s8
    from edge.compress.export import export_onnx
    from edge.compress.program.file import Program
    from edge.compress.quantize.pt2e import quantize_static
    from edge.compress.quantize.tracing import trace

    torch.manual_seed(0)
    layers = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 16)).eval()
    batch = (torch.randn(4, 16, 32, 32),)
    module = quantize_static(model, batch, [batch])
    one = (batch[0][:1],)
    graph = write_s8(export_onnx(module, one, ["x"], ["y"]))
    return graph, Program(trace(module, one), ("x",), ("y",))


def test_the_onnx_road_is_proved_int8(host: BoardHost, quantized: tuple[Any, Program]) -> None:
    from edge.compile.board.graph_compiler import compile_graph
    from edge.compile.precision.proved_in_engine import proved_precision
    from edge.compile.tensorrt.engine_config import EngineConfig
    from edge.compress.precision_plan import PrecisionPlan
    from edge.runtime.engines.engine_inspection import inspect_plan

    plan = PrecisionPlan.int8()
    compiled = compile_graph(host.library, quantized[0].SerializeToString(), EngineConfig(), plan)
    proved = proved_precision(inspect_plan(host.libraries, compiled.engine.plan), compiled.declared, host.title)
    proved.demand(plan)
    assert proved.unknown == ()


def test_a_bundle_is_built_verified_and_found_again(host: BoardHost, small_bundle: Path, tmp_path: Path) -> None:
    from edge.compile.board.engine import board_config, engine_of
    from edge.runtime.bundle import Bundle
    from edge.runtime.engine_cache import EngineCache

    bundle, cache = Bundle.open(small_bundle), EngineCache(tmp_path / "cache")
    built = engine_of(bundle, host, board_config(), cache)
    assert built.was_built and built.verified.ok
    again = engine_of(bundle, host, board_config(), cache)
    assert not again.was_built and again.cached.plan == built.cached.plan


@pytest.mark.parametrize("suffix", [".ep", ".pt2"])
def test_torch_runs_the_saved_artefact(quantized: tuple[Any, Program], tmp_path: Path, suffix: str) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA here")
    torch_tensorrt = pytest.importorskip("torch_tensorrt")
    from edge.compile.torch_tensorrt.artefact import save_artefact

    program = quantized[1]
    path = tmp_path / f"model{suffix}"
    save_artefact(program, path)
    x = torch.randn(1, 16, 32, 32)
    expected = program.exported.module()(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    found = torch_tensorrt.load(str(path)).module()(x.cuda())
    found = found[0] if isinstance(found, tuple | list) else found
    torch.testing.assert_close(found.cpu(), expected, atol=0.03 * float(expected.abs().max()), rtol=0)
