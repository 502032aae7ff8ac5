"""What fails on the way to an answer is named with its remedy, and leaves nothing behind on the device."""

from __future__ import annotations

import gc
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.capabilities import require_module
from edge.runtime.engines.cuda_runtime import CudaDevice, checked, load_cudart, open_device
from edge.runtime.engines.tensorrt import RunnerConfig, TensorRTEngine
from edge.runtime.errors import EdgeError, MissingDependencyError, ModelError
from tests.runtime.engines.cuda_names import Status
from tests.runtime.engines.simulated_board import SimulatedBoard, ramp, scaling_graph
from tests.runtime.engines.simulated_cuda import SimulatedCuda
from tests.runtime.engines.simulated_tensorrt import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.runtime.engines.cuda_memory import MemoryKind

PLAN = make_plan(scaling_graph())
GIVING_BACK = {"cudaFree", "cudaFreeHost", "cudaStreamDestroy", "cudaEventDestroy", "cudaGraphDestroy"}
GIVING_BACK |= {"cudaGraphExecDestroy"}


def _use(board: SimulatedBoard, memory: MemoryKind = "pinned") -> TensorRTEngine:
    with board.open(PLAN, config=RunnerConfig(memory=memory)) as engine:
        np.testing.assert_array_equal(engine.run({"x": ramp()})["y"], 2 * ramp())
    return engine


def _every_call(memory: MemoryKind) -> Iterator[tuple[str, int, str]]:
    """Each call of a whole life of an engine: name, how often it was called by then, what comes of its failing."""
    board = SimulatedBoard(shares_managed=False)
    _use(board, memory)
    calls, seen = board.cuda.calls, Counter[str]()
    begin, end = calls.index("cudaStreamBeginCapture"), calls.index("cudaGraphInstantiate")
    close = len(calls) - 1 - calls[::-1].index("cudaSetDevice")
    for position, name in enumerate(calls):
        seen[name] += 1
        outcome = "no graph" if begin <= position <= end else "error"
        yield name, seen[name], "logged" if name in GIVING_BACK or position == close else outcome


@pytest.mark.parametrize("memory", ["pinned", "mapped", "unified"])
def test_whichever_call_fails_nothing_is_left(memory: MemoryKind, caplog: pytest.LogCaptureFixture) -> None:
    outcomes = Counter[str]()
    for call, nth, outcome in _every_call(memory):
        board, which = SimulatedBoard(shares_managed=False), f"{call}, call {nth}"
        board.cuda.fail(call, nth, Status.cudaErrorNotSupported)
        caplog.clear()
        problem, notes = _attempt(board, memory)
        if outcome == "error":
            assert re.match(r"CUDA cannot [a-z].*: cudaErrorNotSupported \(notsupported\)", problem), which
        else:
            assert not problem, which
            assert ("CUDA cannot" in notes and "cudaErrorNotSupported" in notes) is (outcome == "no graph"), which
            assert "cudaErrorNotSupported" in caplog.text, which
        assert board.cuda.injected == {}, f"{which} was not reached"
        assert sum(board.left_behind().values()) == (1 if call in GIVING_BACK else 0), which
        outcomes[outcome] += 1
    assert set(outcomes) == {"error", "no graph", "logged"}


def _attempt(board: SimulatedBoard, memory: MemoryKind) -> tuple[str, str]:
    """What an engine's life ended with, and its notes."""
    try:
        return "", " ".join(_use(board, memory).notes)
    except ModelError as error:
        return error.problem, ""


def test_a_failure_is_not_taken_for_the_next_ones() -> None:
    board = SimulatedBoard()
    board.cuda.fail("cudaGraphInstantiate", status=Status.cudaErrorNotSupported)
    _use(board)  # the simulated TensorRT fails where an earlier error still stands
    assert board.cuda.last_error == Status.cudaSuccess


def test_out_of_memory_says_how_much_was_asked() -> None:
    board = SimulatedBoard(memory_bytes=5000)
    large = make_plan(scaling_graph(batch="n"), profiles={"x": ((1, 4), (1, 4), (1 << 16, 4))})
    with pytest.raises(ModelError) as caught:
        board.open(large, shapes={"x": (1 << 16, 4)})
    assert "CUDA cannot allocate 1.0 MiB of the GPU's memory for tensor 'x': cudaErrorMemoryAllocation" in str(
        caught.value
    )
    assert "100 of 1024 MiB are free" in caught.value.problem
    assert "isolate multi-user.target" in caught.value.remedy
    assert "edge run --memory-limit" in caught.value.remedy
    del caught
    assert board.left_behind() == {}


def test_memory_that_tensorrt_does_not_get_has_the_same_remedy() -> None:
    with pytest.raises(ModelError, match=r"does not get the 0 MiB .* OutOfMemory") as caught:
        SimulatedBoard(memory_bytes=100).open(PLAN)
    assert "isolate multi-user.target" in caught.value.remedy


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (make_plan(scaling_graph(), tensorrt="10.7.0"), r"TensorRT 10\.3\.0 does not read this engine: .*10\.7\.0"),
        (make_plan(scaling_graph(), compute_capability="8.9"), r"incompatible device, expecting compute 8\.7"),
        (b"no plan at all", "assertion magicTagRead"),
        (b"", "assertion magicTagRead"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_in_tensorrts_words(plan: bytes, message: str) -> None:
    board = SimulatedBoard()
    with pytest.raises(ModelError, match=message) as caught:
        board.open(plan)
    assert "edge build" in caught.value.remedy
    del caught
    assert board.left_behind() == {}


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("Runtime", r"TensorRT 10\.3\.0 does not start: createInferRuntime"),
        ("set_tensor_address", "does not take the memory of tensor 'x', and does not say why"),
        ("execute_async_v3", "does not run the engine: .*too busy"),
    ],
)
def test_what_tensorrt_refuses_is_told(refused: str, message: str) -> None:
    board = SimulatedBoard()
    board.trt.refuses.add(refused)
    with pytest.raises(ModelError, match=message):
        board.open(PLAN)
    gc.collect()
    assert board.cuda.leaks().keys() <= {"device"}  # the context, which the exception may still hold


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("set_input_shape", r"TensorRT refuses the shape \[2, 4\] of tensor 'x'"),
        ("infer_shapes", "TensorRT does not know the shape of x"),
    ],
)
def test_shapes_that_tensorrt_refuses_are_told(refused: str, message: str) -> None:
    board = SimulatedBoard()
    board.trt.refuses.add(refused)
    plan = make_plan(scaling_graph(batch="n"), profiles={"x": ((1, 4), (2, 4), (8, 4))})
    with pytest.raises(ModelError, match=message):
        board.open(plan)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (make_plan(scaling_graph(), layout="CHW32"), "tensor 'x' has TensorRT's layout CHW32"),
        (make_plan(scaling_graph(), location="HOST"), "tensor 'x' is a shape and no data"),
    ],
)
def test_tensors_that_are_not_served_are_named(plan: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SimulatedBoard().open(plan)


def test_a_failure_in_the_middle_of_a_run_leaves_the_engine_usable() -> None:
    board = SimulatedBoard()
    engine = board.open(PLAN, config=RunnerConfig(cuda_graph=False))
    board.trt.refuses.add("execute_async_v3")
    with pytest.raises(ModelError, match="too busy"):
        engine.run({"x": ramp()})
    board.trt.refuses.clear()
    assert board.cuda.pending() == 0, "its copies could still come"
    np.testing.assert_array_equal(engine.run({"x": 3 * ramp()})["y"], 6 * ramp())
    engine.close()


def test_a_lost_device_is_told_and_can_still_be_closed() -> None:
    board = SimulatedBoard()
    engine = board.open(PLAN, config=RunnerConfig(cuda_graph=False))
    engine._plan.bind("x", 12345)
    with pytest.raises(ModelError, match=r"cannot finish the inference: cudaErrorIllegalAddress.*end this process"):
        engine.run({"x": ramp()})
    with pytest.raises(ModelError, match="cudaErrorIllegalAddress"):
        engine.run({"x": ramp()})
    engine.close()


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (0, "there is no NVIDIA driver here"),
        (12060, r"driver here is made for CUDA 12\.6, this cuda-python for CUDA 13\.5, .*pip install 'cuda-python<13'"),
    ],
)
def test_a_driver_that_is_absent_is_told_from_one_that_is_old(driver: int, message: str) -> None:
    board = SimulatedBoard()
    board.cuda.driver_version = driver
    board.cuda.fail("cudaGetDeviceCount", status=Status.cudaErrorInsufficientDriver)
    with pytest.raises(MissingDependencyError, match=message) as caught:
        board.open(PLAN)
    assert "JetPack" in caught.value.remedy


def test_a_device_is_described() -> None:
    device = open_device(SimulatedCuda(devices=2, integrated=True, shares_managed=False), 1)
    assert device == CudaDevice(1, "Simulated", "8.7", True, True, False)


def test_a_machine_without_a_device_is_told() -> None:
    cuda = SimulatedCuda()
    cuda.fail("cudaGetDeviceCount", status=Status.cudaErrorNoDevice)
    with pytest.raises(MissingDependencyError, match="cudaErrorNoDevice"):
        open_device(cuda, 0)


def test_old_bindings_raise_where_there_is_no_driver() -> None:
    class OldBindings(SimulatedCuda):
        def cudaGetDeviceCount(self) -> tuple[Any, ...]:  # noqa: N802
            raise RuntimeError("Failed to dlopen libcuda.so.1")

    with pytest.raises(MissingDependencyError, match=r"there is no NVIDIA driver here \(Failed to dlopen libcuda"):
        open_device(OldBindings(), 0)


def test_a_status_is_told_from_a_value() -> None:
    cuda = SimulatedCuda()
    assert checked(cuda, (Status.cudaSuccess, 7), "count") == 7
    assert checked(cuda, (Status.cudaSuccess,), "go on") is None
    with pytest.raises(EdgeError, match="CUDA cannot count: cudaErrorInvalidValue"):
        checked(cuda, (Status.cudaErrorInvalidValue, 7), "count")


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        ({"cuda.bindings.runtime", "cuda.cudart"}, "cuda.bindings.runtime"),
        ({"cuda.bindings.runtime"}, "cuda.bindings.runtime"),
        ({"cuda.cudart"}, "cuda.cudart"),
        (set(), "cuda.bindings.runtime"),
    ],
)
def test_the_bindings_are_found_under_either_name(
    present: set[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "edge.runtime.engines.cuda_runtime"
    monkeypatch.setattr(f"{where}.has_module", lambda name: name in present)
    monkeypatch.setattr(f"{where}.require_module", lambda name: name)
    assert load_cudart() == chosen


@pytest.mark.parametrize(
    ("absent", "remedy"),
    [
        ("tensorrt", "sudo apt install tensorrt python3-libnvinfer"),
        ("tensorrt_rtx", "pip install tensorrt-rtx"),
        ("cuda.bindings.runtime", r"edge-fusion\[board\].*cuda-python<13"),
    ],
)
def test_what_is_not_installed_says_how_it_comes(absent: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    present: Callable[[str], bool] = lambda name: False  # noqa: E731
    monkeypatch.setattr("edge.runtime.capabilities.has_module", present)
    with pytest.raises(MissingDependencyError, match=remedy):
        require_module(absent)
