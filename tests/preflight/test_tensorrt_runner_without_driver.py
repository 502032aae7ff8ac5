"""The runner on the real libraries, as far as it comes without a device: to the CUDA driver, whose absence it names."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.capabilities import has_module, require_module
from edge.runtime.engines.cuda_runtime import checked, load_cudart, open_device
from edge.runtime.engines.tensorrt import TensorRTEngine
from edge.runtime.engines.tensorrt_log import make_logger
from edge.runtime.engines.tensorrt_plan import BoardLibraries, LoadedPlan
from edge.runtime.errors import MissingDependencyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.preflight,
    pytest.mark.skipif(not has_module("tensorrt_rtx"), reason="needs TensorRT-RTX (requirements/preflight.txt)"),
    pytest.mark.skipif(Path("/dev/nvidiactl").exists() or Path("/dev/nvmap").exists(), reason="a driver is here"),
]
HAS_CUDART = has_module("cuda.bindings.runtime") or has_module("cuda.cudart")
needs_cudart = pytest.mark.skipif(not HAS_CUDART, reason="needs cuda-python")


@pytest.fixture(scope="module")
def trt() -> Any:
    return require_module("tensorrt_rtx")


@pytest.fixture(scope="module")
def plan(trt: Any, small_graph: bytes) -> bytes:
    """A real engine of the small graph for compute capability 8.6."""
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(small_graph), logger.take_errors()
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    built = builder.build_serialized_network(network, config)
    assert built is not None, logger.take_errors()
    return bytes(built)


@pytest.fixture
def resources() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.skipif(HAS_CUDART, reason="cuda-python is here")
def test_without_cuda_python_the_package_is_named(plan: bytes) -> None:
    with pytest.raises(MissingDependencyError, match=r"needs the Python package cuda.*edge-fusion\[board\]"):
        TensorRTEngine(plan, library="tensorrt_rtx")


@needs_cudart
def test_without_a_driver_the_engine_names_it(plan: bytes) -> None:
    with pytest.raises(MissingDependencyError, match="there is no NVIDIA driver here") as caught:
        TensorRTEngine(plan, library="tensorrt_rtx")
    assert "NVIDIA's driver" in caught.value.remedy


@needs_cudart
def test_the_real_runtime_answers_with_statuses() -> None:
    cudart = load_cudart()
    version = checked(cudart, cudart.cudaRuntimeGetVersion(), "tell its version")
    assert version >= 12_000
    with pytest.raises(MissingDependencyError, match="there is no NVIDIA driver here"):
        open_device(cudart, 0)
    if version >= 13_000:  # older bindings raise at once
        with pytest.raises(MissingDependencyError, match="CUDA cannot allocate: there is no NVIDIA driver here"):
            checked(cudart, cudart.cudaMalloc(16), "allocate")


def test_tensorrt_reads_the_plan_up_to_the_driver(trt: Any, plan: bytes, resources: ExitStack) -> None:
    with pytest.raises(ModelError, match=r"does not read this engine: .*CUDA driver version is insufficient"):
        LoadedPlan(BoardLibraries(trt, None, "tensorrt_rtx"), plan, resources)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: b"no plan at all" * 100, r"Serialization assertion header\.magicTag"),
        (lambda p: p[: len(p) // 2], r"Serialization assertion plan\.header\.size == blobSize"),
        (lambda p: b"", "empty memory buffer"),
    ],
)
def test_what_is_no_plan_is_refused_in_tensorrts_words(
    trt: Any, plan: bytes, resources: ExitStack, harm: Any, message: str
) -> None:
    """The first error that TensorRT logs is the cause; the last one only says that there is no driver."""
    with pytest.raises(ModelError, match=message) as caught:
        LoadedPlan(BoardLibraries(trt, None, "tensorrt_rtx"), harm(plan), resources)
    assert "edge build" in caught.value.remedy
