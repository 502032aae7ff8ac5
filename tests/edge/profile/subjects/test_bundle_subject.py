"""Bundles: the road of a sample with its stages, the engine alone, and the examples where no source fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.profile.subjects.bundle_subject import GOLDENS, open_bundle_engine, open_bundle_road
from edge.profile.subjects.timed import SubjectConfig
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, ConfigError, SourceError

if TYPE_CHECKING:
    from edge.runtime.engine_cache import EngineCache
    from tests.edge.simulated_host import SimulatedCompiler, SimulatedHost


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def test_the_road_of_a_sample(bundle: Bundle) -> None:
    timed = open_bundle_road(bundle, SubjectConfig())
    for _ in range(20):
        timed.run()
    stages = timed.stages_ns(12)
    assert {name: len(taken) for name, taken in stages.items()} == {"preprocess": 12, "engine": 12, "decode": 12}
    assert all((taken > 0).all() for taken in stages.values())
    assert timed.subject.kind == "bundle" and timed.subject.digest == bundle.id
    assert timed.source.startswith("simulated")
    assert "16 sets in state all were run in turn." in timed.notes
    assert not timed.side_by_side
    assert {layer.kind.removeprefix("Fused") for layer in timed.layers(2)} >= {"Conv", "MatMul"}


def test_the_engine_alone(bundle: Bundle) -> None:
    timed = open_bundle_engine(bundle, SubjectConfig(engine="onnxruntime"))
    timed.run()
    assert timed.stages_ns(1) == {} and timed.side_by_side
    assert timed.source == GOLDENS
    assert "The engine alone: neither preprocessing nor decoding is in the latency." in timed.notes


def test_where_the_simulator_does_not_fit_the_examples_are_run(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*arguments: object) -> None:
        raise BundleError("the source gives none of the streams", "add a --source")

    monkeypatch.setattr("edge.profile.subjects.sample_road.complete_rig", refuses)
    timed = open_bundle_road(bundle, SubjectConfig())
    timed.run()
    assert set(timed.stages_ns(1)) == {"engine", "decode"}
    assert timed.source == GOLDENS
    assert any(note.startswith("Preprocessing was not timed, for the simulator does not fit") for note in timed.notes)
    with pytest.raises(BundleError, match="none of the streams"):
        open_bundle_road(bundle, SubjectConfig(sources=("sim",)))


def test_an_unknown_source(bundle: Bundle) -> None:
    with pytest.raises(SourceError, match="unknown kind"):
        open_bundle_road(bundle, SubjectConfig(sources=("nonsense:1",)))


def test_a_bundle_fixes_its_shapes(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="leave --shape out"):
        open_bundle_road(bundle, SubjectConfig(shapes={"camera": (1, 3, 8, 8)}))


def test_on_a_board_its_engine_runs_and_tells_of_layers(
    int8_bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    from edge.compile.board.engine import board_config, engine_of

    engine_of(int8_bundle, jetson.open(), board_config(512), engine_cache, compiler=compiler)
    timed = open_bundle_road(int8_bundle, SubjectConfig())
    assert timed.subject.engine == "tensorrt-10.3.0-mapped-graph/s8"
    timed.run()
    assert {layer.name for layer in timed.layers(2)} >= {"objects", "events"}
    timed.close()
    assert jetson.board.left_behind() == {}
