"""The runner on a real device, against ONNX Runtime.

These tests have never run: no device was at hand when they were written. Where there is one, `pytest -m gpu` builds the
small graph with the TensorRT that is installed and runs it; what is assumed of the builder stands in `plan` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.capabilities import has_module
from edge.runtime.engines.cuda_runtime import load_cudart, open_device
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.engines.tensorrt import RunnerConfig, TensorRTEngine
from edge.runtime.errors import EdgeError

if TYPE_CHECKING:
    from edge.packing.pack import BundleContents
    from edge.runtime.engines.cuda_memory import MemoryKind
    from edge.runtime.engines.tensorrt_plan import LibraryName

pytestmark = pytest.mark.gpu
TOLERANCE = 2e-2  # TF32 products keep 10 bits of the mantissa


@pytest.fixture(scope="module")
def library() -> LibraryName:
    try:
        open_device(load_cudart(), 0)
    except EdgeError as error:
        pytest.skip(f"needs a CUDA device: {error.problem}")
    if has_module("tensorrt"):
        return "tensorrt"
    if has_module("tensorrt_rtx"):
        return "tensorrt_rtx"
    pytest.skip("needs TensorRT or TensorRT-RTX")


@pytest.fixture(scope="module")
def plan(library: LibraryName, small_graph: bytes) -> bytes:
    from edge.compile.tensorrt.builder import build_engine
    from edge.compile.tensorrt.engine_config import EngineConfig
    from edge.compile.tensorrt.library import open_library
    from edge.compile.tensorrt.network import parse_network

    config = EngineConfig(fp16=False)
    return build_engine(parse_network(open_library(library), small_graph, config), config).plan


def _answers(plan: bytes, library: LibraryName, contents: BundleContents, config: RunnerConfig) -> list[dict[str, Any]]:
    with TensorRTEngine(plan, "fp32", library=library, model_io=contents.model_io, config=config) as engine:
        return [engine.run(feed) for feed in contents.golden_inputs]


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("memory", ["pinned", "mapped", "unified"])
def test_it_answers_as_onnx_runtime_does(
    plan: bytes,
    library: LibraryName,
    small_graph: bytes,
    small_contents: BundleContents,
    memory: MemoryKind,
    cuda_graph: bool,
) -> None:
    found = _answers(plan, library, small_contents, RunnerConfig(memory=memory, cuda_graph=cuda_graph))
    reference = OnnxRuntimeEngine(small_graph)
    for feed, answers in zip(small_contents.golden_inputs, found, strict=True):
        for name, expected in reference.run(feed).items():
            np.testing.assert_allclose(answers[name], expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_neither_memory_nor_graph_changes_the_answers(
    plan: bytes, library: LibraryName, small_contents: BundleContents
) -> None:
    configs = [
        RunnerConfig(memory=memory, cuda_graph=cuda_graph)
        for memory in ("pinned", "mapped", "unified")
        for cuda_graph in (False, True)
    ]
    first, *others = [_answers(plan, library, small_contents, config) for config in configs]
    for config, answers in zip(configs[1:], others, strict=True):
        for expected, found in zip(first, answers, strict=True):
            for name, value in expected.items():
                np.testing.assert_array_equal(found[name], value, err_msg=f"{config}: {name}")


def test_a_graph_was_recorded(plan: bytes, library: LibraryName) -> None:
    with TensorRTEngine(plan, "fp32", library=library) as engine:
        assert engine.notes[1] == "one CUDA graph"
        assert "-graph/" in engine.name


def test_nothing_stays_on_the_device(plan: bytes, library: LibraryName, small_contents: BundleContents) -> None:
    cudart = load_cudart()
    free = []
    for _ in range(6):
        _answers(plan, library, small_contents, RunnerConfig())
        free.append(cudart.cudaMemGetInfo()[1])
    # The first life may leave the context's own pools; after that each starts from the same.
    assert min(free[1:]) >= free[1] - (8 << 20)


def test_layers_are_told_with_their_times(plan: bytes, library: LibraryName, small_contents: BundleContents) -> None:
    from edge.profile.subjects.engine_subject import engine_layer_times
    from edge.runtime.engines.tensorrt_plan import load_libraries

    libraries = load_libraries(library)

    def opened() -> TensorRTEngine:
        config = RunnerConfig(cuda_graph=False)
        return TensorRTEngine(plan, "fp32", model_io=small_contents.model_io, config=config, libraries=libraries)

    layers = engine_layer_times(libraries, opened, small_contents.golden_inputs[0], 5)
    assert layers and all(layer.ms >= 0 for layer in layers) and sum(layer.ms for layer in layers) > 0
