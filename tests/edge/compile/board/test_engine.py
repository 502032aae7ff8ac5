"""An engine is found by all that it depends on, else built; what falls short or answers otherwise is not kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.board.engine import board_config, engine_of
from edge.compile.tensorrt.build_memory import workspace_bytes
from edge.runtime.bundle import Bundle
from edge.runtime.byte_sizes import MIB
from edge.runtime.errors import BundleError, GateError, ModelError
from tests.edge.simulated_host import SimulatedCompiler, SimulatedHost, changed, packed, with_pairs
from tests.runtime.engines.cuda_names import Status

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compile.board.engine import BoardEngine
    from edge.packing.pack import BundleContents
    from edge.runtime.engine_cache import EngineCache

pytestmark = pytest.mark.usefixtures("engine_cache")
CONFIG = board_config(512)


class Bench:
    """Builds on one machine after the other into one cache."""

    def __init__(self, bundle: Bundle, cache: EngineCache) -> None:
        self.bundle, self.cache = bundle, cache
        self.host, self.compiler = SimulatedHost(), SimulatedCompiler()

    def build(self, dialect: str | None = None, **options: Any) -> BoardEngine:
        config, again = options.pop("config", CONFIG), options.pop("again", False)
        host = SimulatedHost(**options) if options else self.host
        return engine_of(self.bundle, host.open(), config, self.cache, dialect, again=again, compiler=self.compiler)

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.cache.root / "engines").glob("*"))


@pytest.fixture
def bench(int8_bundle: Bundle, engine_cache: EngineCache) -> Bench:
    return Bench(int8_bundle, engine_cache)


def repacked(bundle: Bundle, contents: BundleContents, **graphs: bytes) -> Bundle:
    return packed(bundle.path, contents, int8_plan=True, notes=None, **graphs)


def test_it_is_built_proved_verified_and_kept(bench: Bench, int8_bundle: Bundle) -> None:
    built = bench.build()
    assert (built.was_built, built.dialect, built.reason) == (True, "s8", "no engine was built on this machine yet")
    assert built.proved is not None
    assert (built.proved.evidence, built.proved.shares()) == ("proved", {"int8": 1.0})
    assert {layer.name for layer in built.proved.layers} == {"objects", "distance", "events"}
    assert built.verified.ok and built.verified.engine == "tensorrt-10.3.0-mapped-graph/s8"
    record = built.record
    assert (record.declared, record.proved) == ({"int8": 1.0}, {"int8": 1.0})
    assert (record.bundle_id, record.provenance) == (int8_bundle.id, "built_here")
    assert (record.build_seconds, record.peak_build_bytes) == (61.5, 300 << 20)
    assert record.key.flags["workspace_mib"] == 512
    found = bench.cache.find(record.key)
    assert found is not None and found.path == built.path
    assert bench.host.board.left_behind() == {}


def test_a_second_call_finds_it(bench: Bench) -> None:
    first = bench.build()
    second = bench.build()
    assert not second.was_built
    assert (second.path, second.reason) == (first.path, f"built {first.record.built_at}")
    assert second.verified.ok
    assert len(bench.compiler.builds) == 1


def test_tensorrt_rtx_is_a_library_of_its_own(bench: Bench) -> None:
    bench.build()
    built = bench.build(version="rtx-1.7.1", l4t=None)
    assert "TensorRT 10.3.0 there, TensorRT-RTX rtx-1.7.1 here" in built.reason
    assert built.verified.engine == "tensorrt_rtx-rtx-1.7.1-pinned-graph/s8"
    assert (built.record.key.library, built.record.key.device) == ("tensorrt_rtx", "Simulated")


def test_a_changed_weight_or_scale_is_another_engine(bench: Bench, small_contents: BundleContents) -> None:
    fp32 = small_contents.graphs["fp32"]
    first = bench.build()
    for constant in ("objects.weight", "objects.scale", "events.weight_scale"):
        graph = changed(with_pairs(fp32), constant, by=0.9)
        bench.bundle = repacked(bench.bundle, small_contents, s8=graph, fp32=fp32)
        built = bench.build()
        assert built.was_built, constant
        assert "differs: graph " in built.reason
        assert f"{first.record.key.graph_sha256[:12]} there" in built.reason or constant != "objects.weight"
    assert len(bench.kept()) == 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "10.7.0"}, "TensorRT 10.3.0 there, 10.7.0 here"),
        ({"l4t": "36.4.0"}, "JetPack 6.2 there, 6.1 here, Jetson Linux 36.4.3 there, 36.4.0 here"),
        ({"model": "NVIDIA Jetson Orin NX"}, "Super there, NVIDIA Jetson Orin NX here"),
        ({"config": board_config(256)}, "flag workspace_mib: 512 there, 256 here"),
        ({"config": board_config(512, dla_core=0)}, "flag dla_core: none there, 0 here"),
        ({"again": True}, "asked for"),
    ],
)
def test_what_else_changed_is_the_reason(bench: Bench, change: dict[str, Any], reason: str) -> None:
    bench.build()
    built = bench.build(**change)
    assert built.was_built
    assert reason in built.reason
    assert len(bench.kept()) == (1 if "again" in change else 2)


def test_an_engine_of_another_bundle_is_held_against_this_ones_plan(
    bench: Bench, small_contents: BundleContents, tmp_path: Path
) -> None:
    """The key does not know of plans: a graph that was built where FP32 was planned proves nothing of INT8."""
    fp32 = small_contents.graphs["fp32"]
    bench.bundle = packed(tmp_path / "float", small_contents, s8=fp32)
    assert bench.build().record.proved == {"fp32": 1.0}
    bench.bundle = packed(tmp_path / "claims", small_contents, int8_plan=True, s8=fp32)
    with pytest.raises(GateError, match="3 of 3 layers fall short"):
        bench.build()
    bench.bundle = packed(tmp_path / "alike", small_contents, s8=fp32, fp32=fp32)
    assert "another bundle with the same graph" in bench.build().reason


def test_what_is_not_declared_is_refused_before_it_is_built(bench: Bench, small_contents: BundleContents) -> None:
    fp32 = small_contents.graphs["fp32"]
    bench.bundle = repacked(bench.bundle, small_contents, s8=with_pairs(fp32, ("objects", "events")))
    with pytest.raises(GateError, match=r"1 of 3 layers fall short .* as declared .*: distance is fp32, planned int8"):
        bench.build()
    assert (bench.compiler.builds, bench.kept()) == ([], [])


def test_what_is_not_found_inside_is_refused_after_it(bench: Bench) -> None:
    bench.host.board.trt.inspection.wide.add("events")
    with pytest.raises(GateError, match=r"1 of 3 .* as proved by TensorRT 10\.3\.0 on NVIDIA Jetson.*: events is fp32"):
        bench.build()
    assert len(bench.compiler.builds) == 1
    assert bench.kept() == []
    assert bench.host.board.left_behind() == {}


@pytest.mark.parametrize(
    ("tells", "why"),
    [
        ("own names", "the engine names no kernel for it"),
        ("layer names", "no more than its layers' names"),
        ("nothing", "the engine names no kernel for it"),
        ("no json", "answer is no list of layers"),
    ],
)
def test_what_the_inspector_does_not_tell_is_unknown_and_said(
    bench: Bench, tells: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.host.board.trt.inspection.tells = tells
    built = bench.build()
    assert built.record.proved == {"unknown": 1.0}
    assert built.record.declared == {"int8": 1.0}
    assert built.path is not None
    (warning,) = [r.message for r in caplog.records if r.levelname == "WARNING" and "precision" in r.message]
    assert "precision is not proved of 3 of 3 layers, 100 % of the multiply-accumulates: " in warning
    assert why in warning


def test_an_engine_that_answers_otherwise_is_not_kept(bench: Bench) -> None:
    good = bench.build()
    bench.compiler.harm = lambda graph: changed(graph, "events.weight_scale", by=3.0)
    bad = bench.build(again=True)
    assert bad.path is None and bad.was_built
    assert not bad.verified.ok and bad.verified.deviation > 0.03
    assert bench.build().record == good.record, "the earlier one is still there"
    bench.compiler.harm = lambda graph: graph
    assert bench.build(config=board_config(256)).path is not None


def test_a_kept_engine_is_held_against_the_goldens_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.build()
    original = Bundle.golden_outputs
    shifted = lambda self, dialect: [{k: v + 1 for k, v in c.items()} for c in original(self, dialect)]  # noqa: E731
    monkeypatch.setattr(Bundle, "golden_outputs", shifted)
    found = bench.build()
    assert (found.was_built, found.verified.ok) == (False, False)
    assert found.path is not None


def test_a_damaged_engine_is_an_error_and_again_mends_it(bench: Bench) -> None:
    path = bench.build().path
    assert path is not None
    (path / "engine.plan").write_bytes(b"not what was built")
    with pytest.raises(BundleError, match=r"engine\.plan was altered"):
        bench.build()
    assert len(bench.compiler.builds) == 1
    assert bench.build(again=True).verified.ok
    assert not bench.build().was_built


def test_an_engine_that_no_longer_runs_names_the_way_out(bench: Bench) -> None:
    bench.build()
    bench.host.board.trt.refuses.add("execute_async_v3")
    with pytest.raises(ModelError, match=r"the engine in .*engines.* does not run") as caught:
        bench.build()
    assert f"edge build {bench.bundle.path} --dialect s8 --again" in caught.value.remedy


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ModelError("out of memory", "wait"), MemoryError()])
def test_a_build_that_breaks_off_leaves_nothing(bench: Bench, error: BaseException) -> None:
    bench.compiler.raises = error
    with pytest.raises(type(error)):
        bench.build()
    assert bench.kept() == []
    bench.compiler.raises = None
    assert bench.build().reason == "no engine was built on this machine yet"


def test_a_device_that_fails_while_it_is_proved_leaves_nothing(bench: Bench) -> None:
    bench.host.board.cuda.fail("cudaStreamCreateWithFlags", 1, Status.cudaErrorMemoryAllocation)
    with pytest.raises(ModelError, match="cudaErrorMemoryAllocation"):
        bench.build()
    assert bench.kept() == []


@pytest.mark.parametrize("umask", [0o002, 0o000, 0o077])
def test_the_first_build_makes_the_cache_private_whatever_the_umask(bench: Bench, umask: int) -> None:
    """Timings are kept before the engine: with a umask of 002, Ubuntu's, they must not open the cache to a group."""
    before = os.umask(umask)
    try:
        assert bench.build().path is not None
    finally:
        os.umask(before)
    assert not bench.build().was_built
    timings = bench.cache.root / "timings" / "tensorrt-10.3.0-8.7.cache"
    assert timings.read_bytes() == b"timings"
    for folder in (bench.cache.root, timings.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("place", ["cache", "cache/timings"])
def test_a_cache_that_is_open_to_others_is_refused_before_minutes_are_spent(
    bench: Bench, tmp_path: Path, place: str
) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place).chmod(0o777)
    with pytest.raises(BundleError, match=f"others may write .*{place}"):
        bench.build()
    assert bench.compiler.builds == []


def test_a_cache_that_cannot_be_made_is_refused_before_minutes_are_spent(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BundleError, match=r"engines cannot be kept in .*cache.*set EDGE_CACHE"):
        bench.build()
    assert bench.compiler.builds == []


def test_typed_takes_the_graph_whose_types_are_meant(bench: Bench, small_contents: BundleContents) -> None:
    graph = with_pairs(small_contents.graphs["fp32"])
    bench.bundle = repacked(bench.bundle, small_contents, s8=graph, s8f16=graph)
    assert bench.build().dialect == "s8"
    assert bench.build(config=board_config(512, regime="typed")).dialect == "s8f16"


def test_who_asks_for_the_float_graph_gets_it(bench: Bench, small_contents: BundleContents) -> None:
    """By name it is meant; where TensorRT's choice falls on it, the plan holds."""
    built = bench.build("fp32")
    assert (built.dialect, built.record.proved) == ("fp32", {"fp32": 1.0})
    bench.bundle = repacked(bench.bundle, small_contents, fp32=small_contents.graphs["fp32"])
    with pytest.raises(GateError, match="planned int8"):
        bench.build(again=True)


@pytest.mark.parametrize(
    ("gib", "expected"), [(7.4, 896), (7.5, 896), (3.3, 384), (15.3, 1920), (61.4, 2048), (0.5, 128)]
)
def test_the_workspace_follows_the_memory_in_steps(gib: float, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.compile.board.engine.describe_host", type("Host", (), {"memory_gib": gib}))
    assert board_config().workspace_mib == expected
    assert expected == 128 or expected * MIB <= workspace_bytes(gib)
    assert board_config(77).workspace_mib == 77
    monkeypatch.setattr("edge.compile.board.engine.describe_host", type("Host", (), {"memory_gib": None}))
    assert board_config().workspace_mib is None
