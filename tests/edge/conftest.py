"""A simulated board with a cache of its own, for tests of what is built, verified and run there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from edge.runtime.engine_cache import EngineCache

if TYPE_CHECKING:
    from pathlib import Path

    from edge.packing.pack import BundleContents
    from edge.runtime.bundle import Bundle
    from tests.edge.simulated_host import SimulatedCompiler, SimulatedHost


@pytest.fixture
def engine_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    """An empty one, which the command line finds as well."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    return EngineCache()


@pytest.fixture
def jetson(engine_cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> SimulatedHost:
    """The machine that everything runs on, as far as `open_host` tells."""
    pytest.importorskip("onnx")
    from tests.edge.simulated_host import SimulatedHost

    host = SimulatedHost()
    monkeypatch.setattr("edge.compile.board.host.open_host", lambda index=0: host.open(index))
    monkeypatch.setattr("edge.run_engine.open_host", lambda index=0: host.open(index))
    return host


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> SimulatedCompiler:
    """Takes the place of the real one on the command line; elsewhere it is passed."""
    pytest.importorskip("onnx")
    from edge.compile.board import engine
    from tests.edge.simulated_host import SimulatedCompiler

    compiler = SimulatedCompiler()
    monkeypatch.setattr(engine, "engine_of", partial(engine.engine_of, compiler=compiler))
    return compiler


@pytest.fixture
def int8_bundle(small_contents: BundleContents, tmp_path: Path) -> Bundle:
    """With a plan that calls every layer INT8, an `s8` graph that has it so, and `fp32` beside it."""
    from tests.edge.simulated_host import packed, with_pairs

    fp32 = small_contents.graphs["fp32"]
    return packed(tmp_path / "int8", small_contents, int8_plan=True, s8=with_pairs(fp32), fp32=fp32)


@pytest.fixture
def sparse_bundle(small_contents: BundleContents, tmp_path: Path) -> Bundle:
    """The same, whose record says that two of its three layers are 2:4 sparse."""
    from tests.edge.simulated_host import SPARSE_NOTES, packed, with_pairs

    fp32 = small_contents.graphs["fp32"]
    path = tmp_path / "sparse"
    return packed(path, small_contents, int8_plan=True, notes=SPARSE_NOTES, s8=with_pairs(fp32), fp32=fp32)
