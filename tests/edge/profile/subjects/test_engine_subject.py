"""TensorRT engine files on a simulated board: latency through the CUDA graph, layers through the profiler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.profile.subjects.engine_subject import open_engine_file
from edge.profile.subjects.timed import SubjectConfig
from edge.runtime.errors import ConfigError, MissingDependencyError, ModelError
from tests.runtime.engines.simulated_board import SimulatedBoard, scaling_graph
from tests.runtime.engines.simulated_tensorrt import make_plan


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> SimulatedBoard:
    board = SimulatedBoard()
    monkeypatch.setattr("edge.profile.subjects.engine_subject.load_libraries", lambda name: board.libraries)
    return board


def engine_file(folder: Path, **options: Any) -> Path:
    path = folder / "model.engine"
    path.write_bytes(make_plan(scaling_graph(batch=options.pop("batch", 1)), **options))
    return path


def test_an_engine_runs_and_tells_of_its_layers(tmp_path: Path, board: SimulatedBoard) -> None:
    timed = open_engine_file(engine_file(tmp_path), SubjectConfig())
    assert timed.subject.kind == "engine" and timed.subject.inputs == {"x": (1, 4)}
    assert timed.subject.engine == "tensorrt-10.3.0-pinned-graph/file"
    assert any("wait for the device" in note for note in timed.notes)
    made: Any = timed.run()
    assert made["y"].shape == (1, 4)
    (layer,) = timed.layers(4)
    assert (layer.name, layer.ms) == ("y", 0.5)
    assert (layer.macs, layer.bytes, layer.precision) == (None, None, None)
    timed.close()
    del timed, made
    assert board.left_behind() == {}


def test_a_shape_of_an_engine_that_takes_several(tmp_path: Path, board: SimulatedBoard) -> None:
    path = engine_file(tmp_path, batch="n", profiles={"x": ([1, 4], [2, 4], [8, 4])})
    assert open_engine_file(path, SubjectConfig(shapes={"x": (8, 4)})).subject.inputs == {"x": (8, 4)}
    with pytest.raises(ModelError, match=r"tensor 'x' has the shape \[9, 4\]"):
        open_engine_file(path, SubjectConfig(shapes={"x": (9, 4)}))


@pytest.mark.parametrize(
    ("other", "reason"),
    [({"compute_capability": "8.9"}, "incompatible device"), ({"tensorrt": "10.7.0"}, "Version tag")],
)
def test_an_engine_of_another_device_is_refused_in_one_line(
    tmp_path: Path, board: SimulatedBoard, other: dict[str, str], reason: str
) -> None:
    with pytest.raises(ModelError, match=f"does not read this engine.*{reason}") as refused:
        open_engine_file(engine_file(tmp_path, **other), SubjectConfig())
    assert "\n" not in str(refused.value)


def test_without_tensorrt_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.runtime.capabilities.has_module", lambda name: False)
    with pytest.raises(MissingDependencyError, match="tensorrt"):
        open_engine_file(engine_file(tmp_path), SubjectConfig())


def test_bad_orders(tmp_path: Path, board: SimulatedBoard) -> None:
    with pytest.raises(ConfigError, match="is a TensorRT engine; leave --engine out"):
        open_engine_file(engine_file(tmp_path), SubjectConfig(engine="onnxruntime"))
    with pytest.raises(ConfigError, match="cannot read"):
        open_engine_file(tmp_path / "none.engine", SubjectConfig())


def test_a_cuda_graph_tells_of_no_layers(board: SimulatedBoard) -> None:
    with (
        board.open(make_plan(scaling_graph())) as engine,
        pytest.raises(ModelError, match="tells of no layers"),
    ):
        engine.report_layers(None)
