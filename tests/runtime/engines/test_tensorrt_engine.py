"""The runner of TensorRT engines on a simulated board: answers, memory, CUDA graphs, types, shapes, threads."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.engines.tensorrt import RunnerConfig
from edge.runtime.errors import ConfigError, ModelError
from edge.runtime.model_io import ModelIO
from tests.runtime.engines.simulated_board import SCALED_SHAPE, SimulatedBoard, ramp, scaling_graph
from tests.runtime.engines.simulated_tensorrt import SCRATCH_BYTES, make_plan

if TYPE_CHECKING:
    from edge.packing.pack import BundleContents
    from edge.runtime.engines.cuda_memory import MemoryKind

KINDS: tuple[MemoryKind, ...] = ("pinned", "mapped", "unified")
PROFILE = {"x": ((1, 4), (2, 4), (8, 4))}


@pytest.fixture
def board() -> SimulatedBoard:
    return SimulatedBoard()


@pytest.fixture
def scaling() -> bytes:
    return make_plan(scaling_graph())


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("memory", KINDS)
def test_it_answers_as_onnx_runtime_does(
    small_graph: bytes, small_contents: BundleContents, memory: MemoryKind, cuda_graph: bool, integrated: bool
) -> None:
    board = SimulatedBoard(integrated=integrated, shares_managed=not integrated)
    config = RunnerConfig(memory=memory, cuda_graph=cuda_graph)
    reference = OnnxRuntimeEngine(small_graph)
    with board.open(make_plan(small_graph), model_io=small_contents.model_io, config=config) as engine:
        assert engine.name == f"tensorrt-10.3.0-{memory}{'-graph' if cuda_graph else ''}/fp32"
        for feed in (*small_contents.golden_inputs, small_contents.golden_inputs[0]):
            answers = engine.run(feed)
            assert answers.keys() == {"objects", "distance", "events"}
            for name, expected in reference.run(feed).items():
                np.testing.assert_array_equal(answers[name], expected)
    assert board.left_behind() == {}


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("memory", KINDS)
def test_each_run_reads_its_own_inputs(
    board: SimulatedBoard, scaling: bytes, memory: MemoryKind, cuda_graph: bool
) -> None:
    engine = board.open(scaling, config=RunnerConfig(memory=memory, cuda_graph=cuda_graph))
    kept = [engine.run({"x": ramp() * factor})["y"] for factor in (1, 3, -2)]
    for factor, answer in zip((1, 3, -2), kept, strict=True):  # the caller's own: later runs leave them alone
        np.testing.assert_array_equal(answer, 2 * factor * ramp())
    engine.close()


@pytest.mark.parametrize("memory", KINDS)
def test_it_tells_what_the_cpu_took_for_the_tensors(
    board: SimulatedBoard, scaling: bytes, memory: MemoryKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    instants = iter((100, 130, 1000, 1007))  # begun, filled, executed, taken out
    engine = board.open(scaling, config=RunnerConfig(memory=memory))
    assert engine.transfer_ns is None
    with monkeypatch.context() as patched:
        patched.setattr("edge.runtime.engines.tensorrt.time.perf_counter_ns", lambda: next(instants))
        engine.run({"x": ramp()})
    assert engine.transfer_ns == 30 + 7
    engine.close()


def test_a_graph_replaces_the_launches(board: SimulatedBoard, scaling: bytes) -> None:
    engine = board.open(scaling)
    before = len(board.cuda.calls)
    engine.run({"x": ramp()})
    assert board.cuda.calls[before:] == ["cudaSetDevice", "cudaGraphLaunch", "cudaEventRecord", "cudaEventSynchronize"]
    engine.close()


def test_where_tensors_lie_in_shared_memory_nothing_is_copied(scaling: bytes) -> None:
    board = SimulatedBoard(integrated=True)
    with board.open(scaling) as engine:
        assert engine.notes[0] == "tensors in mapped memory: CPU and GPU share one memory, so nothing is copied"
        assert "cudaMemcpyAsync" not in board.cuda.calls
        assert "cudaMalloc" not in board.cuda.calls
        assert engine.buffer_bytes == 2 * ramp().nbytes
        assert engine.device_memory_bytes == SCRATCH_BYTES


def test_a_card_with_memory_of_its_own_gets_copies(board: SimulatedBoard, scaling: bytes) -> None:
    with board.open(scaling) as engine:
        assert engine.notes == (
            "tensors in pinned memory: the GPU has memory of its own, so tensors are copied",
            "one CUDA graph",
        )
        assert engine.buffer_bytes == 4 * ramp().nbytes


def test_what_the_device_lacks_is_refused(scaling: bytes) -> None:
    with pytest.raises(ConfigError, match="does not read the CPU's memory in place"):
        SimulatedBoard(maps_host=False).open(scaling, config=RunnerConfig(memory="mapped"))
    with pytest.raises(ConfigError, match="no CUDA device 1; choose one of 0 to 0"):
        SimulatedBoard().open(scaling, config=RunnerConfig(device=1))
    auxiliary = make_plan(scaling_graph(), auxiliary_streams=2)
    config = RunnerConfig(memory="unified")
    with pytest.raises(ConfigError, match="2 streams beside its own"):
        SimulatedBoard(shares_managed=False).open(auxiliary, config=config)
    SimulatedBoard(shares_managed=True).open(auxiliary, config=config).close()


def test_an_unknown_kind_of_memory_is_refused() -> None:
    with pytest.raises(ValidationError, match="memory"):
        RunnerConfig.model_validate({"memory": "gpu"})


def test_managed_memory_is_kept_to_the_stream_where_it_cannot_be_shared(scaling: bytes) -> None:
    board = SimulatedBoard(integrated=True, shares_managed=False)
    board.open(scaling, config=RunnerConfig(memory="unified"))
    assert len(board.cuda.attached) == 2
    sharing = SimulatedBoard(shares_managed=True)
    sharing.open(scaling, config=RunnerConfig(memory="unified")).close()
    assert not sharing.cuda.attached


@pytest.mark.parametrize("version", ["10.3.0", "rtx-1.7.1"])
def test_what_cannot_be_recorded_runs_without_a_graph(version: str, caplog: pytest.LogCaptureFixture) -> None:
    board = SimulatedBoard(version)
    with board.open(make_plan(scaling_graph(), tensorrt=version, recordable=False)) as engine:
        for _ in range(3):
            np.testing.assert_array_equal(engine.run({"x": ramp()})["y"], 2 * ramp())
        assert engine.notes[1].startswith("no CUDA graph: ")
        assert "-graph" not in engine.name
    warnings = [r for r in caplog.records if "without a CUDA graph" in r.message]
    assert len(warnings) == 1
    assert board.cuda.calls.count("cudaStreamBeginCapture") == (0 if version.startswith("rtx") else 1)
    assert board.left_behind() == {}


@pytest.mark.parametrize(
    ("element", "given", "back"),
    [
        ("FLOAT", np.float32, np.float32),
        ("FLOAT16", np.float32, np.float32),
        ("FLOAT16", np.float16, np.float32),
        ("INT8", np.int8, np.int8),
        ("UINT8", np.uint8, np.uint8),
        ("INT32", np.int32, np.int32),
        ("INT32", np.int64, np.int32),
        ("INT64", np.int64, np.int64),
        ("BOOL", np.bool_, np.bool_),
    ],
)
def test_every_type_of_an_engine_is_served(board: SimulatedBoard, element: str, given: Any, back: Any) -> None:
    with board.open(make_plan(scaling_graph(element))) as engine:
        answer = engine.run({"x": ramp(given)})["y"]
    assert answer.dtype == back
    np.testing.assert_array_equal(answer, ~ramp(given) if element == "BOOL" else 2 * ramp(back))


def test_fp16_rounds_but_does_not_overflow(board: SimulatedBoard) -> None:
    with board.open(make_plan(scaling_graph("FLOAT16"))) as engine:
        third = np.full(SCALED_SHAPE, 1 / 3, np.float32)
        np.testing.assert_array_equal(engine.run({"x": third})["y"], 2 * third.astype(np.float16))
        with pytest.raises(ModelError, match="tensor 'x' holds values beyond those of FP16"):
            engine.run({"x": third * 1e6})


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, "tensor 'x' is missing"),
        ({"x": ramp(), "z": ramp()}, "tensor 'z' is not an input"),
        ({"x": ramp(np.float64)}, r"tensor 'x' is float64 \[1, 4\], the model takes float32 \[1, 4\]"),
        ({"x": ramp(np.int8)}, "tensor 'x' is int8"),
        ({"x": ramp(shape=(1, 1))}, r"tensor 'x' is float32 \[1, 1\]"),  # NumPy would stretch it
        ({"x": ramp()[0]}, r"tensor 'x' is float32 \[4\]"),
    ],
)
def test_bad_inputs_name_the_tensor(board: SimulatedBoard, scaling: bytes, feed: Any, message: str) -> None:
    engine = board.open(scaling)
    with pytest.raises(ModelError, match=message):
        engine.run(feed)
    np.testing.assert_array_equal(engine.run({"x": ramp()})["y"], 2 * ramp())
    engine.close()


def test_strided_inputs_are_taken(board: SimulatedBoard, scaling: bytes) -> None:
    wide = ramp(shape=(1, 8))
    with board.open(scaling) as engine:
        np.testing.assert_array_equal(engine.run({"x": wide[:, ::2]})["y"], 2 * wide[:, ::2])


@pytest.mark.parametrize(
    ("at", "change", "message"),
    [
        (("inputs", 0), {"shape": (1, 3, 64, 200)}, "'camera' is .* in the graph"),
        (("inputs", 1), {"tensor": "sweep"}, "'(sweep|lidar)' is in"),
        (("outputs", 1), {"tensor": "sounds"}, "decodes tensor 'sounds'"),
    ],
)
def test_an_engine_that_does_not_fit_io_yaml_is_refused(
    board: SimulatedBoard, small_graph: bytes, small_io: ModelIO, at: Any, change: dict[str, Any], message: str
) -> None:
    raw = small_io.model_dump(by_alias=True)
    items = list(raw[at[0]])
    items[at[1]] = {**items[at[1]], **change}
    with pytest.raises(ModelError, match=message):
        board.open(make_plan(small_graph), model_io=ModelIO.model_validate({**raw, at[0]: items}))
    assert board.cuda.leaks() == {}


def test_an_engine_of_other_types_than_the_pipeline_makes_does_not_fit(board: SimulatedBoard) -> None:
    described = ModelIO.model_validate(
        {
            "schema": 1,
            "inputs": [
                {
                    "feature": "tensor",
                    "tensor": "x",
                    "stream": "s",
                    "shape": SCALED_SHAPE,
                    "fields": list("abcd"),
                    "mean": [0] * 4,
                    "std": [1] * 4,
                }
            ],
            "outputs": [{"decoder": "raw", "tensor": "y"}],
        }
    )
    board.open(make_plan(scaling_graph("FLOAT16")), model_io=described).close()
    with pytest.raises(ModelError, match=r"'x' is int64 in the graph, but io\.yaml makes float32"):
        board.open(make_plan(scaling_graph("INT64")), model_io=described)
    tokens = {
        "feature": "tokens",
        "tensor": "x",
        "stream": "s",
        "shape": SCALED_SHAPE,
        "tokenizer": "t",
        "vocabulary": 9,
    }
    read = ModelIO.model_validate({**described.model_dump(by_alias=True), "inputs": [tokens]})
    for element in ("INT64", "INT32"):  # what an older TensorRT makes of INT64
        board.open(make_plan(scaling_graph(element)), model_io=read).close()
    with pytest.raises(ModelError, match=r"'x' is float32 in the graph, but io\.yaml makes int64"):
        board.open(make_plan(scaling_graph("FLOAT16")), model_io=read)


def test_ids_beyond_those_of_int32_are_refused_and_never_wrapped(board: SimulatedBoard) -> None:
    with board.open(make_plan(scaling_graph("INT32"))) as engine:
        largest = np.full(SCALED_SHAPE, 2**31 - 1, np.int64)
        engine.run({"x": largest})
        for wrong in (largest + 1, -largest - 2):
            with pytest.raises(ModelError, match="tensor 'x' holds values beyond those of INT32"):
                engine.run({"x": wrong})


def test_a_shape_is_chosen_inside_of_the_engines_range(board: SimulatedBoard) -> None:
    plan = make_plan(scaling_graph(batch="n"), profiles=PROFILE)
    for shapes, rows in (({}, 2), ({"x": (8, 4)}, 8)):
        with board.open(plan, shapes=shapes) as engine:
            x = ramp(shape=(rows, 4))
            np.testing.assert_array_equal(engine.run({"x": x})["y"], 2 * x)
            with pytest.raises(ModelError, match=rf"\[1, 4\], the model takes float32 \[{rows}, 4\]"):
                engine.run({"x": ramp()})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"x": (9, 4)}, r"tensor 'x' has the shape \[9, 4\], the engine takes \[1, 4\] to \[8, 4\]"),
        ({"x": (2, 4, 1)}, r"tensor 'x' has the shape \[2, 4, 1\]"),
        ({"z": (1, 4)}, "tensor 'z' has a shape, but is no input"),
    ],
)
def test_a_shape_outside_names_the_range(board: SimulatedBoard, shapes: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        board.open(make_plan(scaling_graph(batch="n"), profiles=PROFILE), shapes=shapes)


def test_fixed_shapes_cannot_be_chosen(board: SimulatedBoard, scaling: bytes) -> None:
    with pytest.raises(ModelError, match=r"tensor 'x' has the shape \[2, 4\], the engine takes \[1, 4\]"):
        board.open(scaling, shapes={"x": (2, 4)})


def test_engines_side_by_side_do_not_mix(board: SimulatedBoard, scaling: bytes) -> None:
    first, second = board.open(scaling), board.open(scaling, config=RunnerConfig(memory="mapped", cuda_graph=False))
    for factor in (1, 5):
        np.testing.assert_array_equal(first.run({"x": factor * ramp()})["y"], 2 * factor * ramp())
        np.testing.assert_array_equal(second.run({"x": -factor * ramp()})["y"], -2 * factor * ramp())
    first.close()
    np.testing.assert_array_equal(second.run({"x": ramp()})["y"], 2 * ramp())
    second.close()
    assert board.left_behind() == {}


def test_any_thread_may_run_an_engine_on_any_device(scaling: bytes) -> None:
    board = SimulatedBoard(devices=2)
    engine = board.open(scaling, config=RunnerConfig(device=1))
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(engine.run({"x": ramp()})["y"]))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(answers[0], 2 * ramp())
    engine.close()
    assert board.left_behind() == {}


def test_two_threads_at_once_are_told(board: SimulatedBoard, scaling: bytes) -> None:
    engine = board.open(scaling)
    told: list[str] = []

    class Meddling(dict[str, Any]):
        """Inputs that run the engine once more while it reads them."""

        def __getitem__(self, name: str) -> Any:
            try:
                engine.run({"x": ramp()})
            except ModelError as error:
                told.append(str(error))
            return super().__getitem__(name)

    np.testing.assert_array_equal(engine.run(Meddling(x=ramp()))["y"], 2 * ramp())
    assert told == ["two threads ran one engine at the same time; give each thread an engine of its own"]
    engine.close()


def test_a_closed_engine_says_so(board: SimulatedBoard, scaling: bytes) -> None:
    engine = board.open(scaling)
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="the engine is closed"):
        engine.run({"x": ramp()})
    assert board.left_behind() == {}


def test_a_forgotten_engine_leaves_nothing(board: SimulatedBoard, scaling: bytes) -> None:
    engine = board.open(scaling)
    assert board.cuda.leaks()["device"] > 0
    del engine
    gc.collect()
    assert board.left_behind() == {}
