"""What the inspector says is asked of a loaded engine with its context, and leaves nothing on the device."""

from __future__ import annotations

import json

import pytest

from edge.runtime.engines.engine_inspection import inspect_plan
from edge.runtime.errors import ModelError
from tests.runtime.engines.simulated_board import SimulatedBoard
from tests.runtime.engines.simulated_tensorrt import make_plan


def test_every_layer_of_the_graph_is_told(small_graph: bytes) -> None:
    board = SimulatedBoard()
    told = json.loads(inspect_plan(board.libraries, make_plan(small_graph)))
    metadata = [layer["Metadata"] for layer in told["Layers"]]
    assert {f"[ONNX Layer: {name}]" for name in ("objects", "distance", "events")} < set(metadata)
    assert told["Layers"][0]["LayerType"] == "Reformat"
    assert board.left_behind() == {}


def test_a_plan_that_tensorrt_does_not_read_is_refused(small_graph: bytes) -> None:
    board = SimulatedBoard("10.3.0")
    with pytest.raises(ModelError, match=r"TensorRT 10\.3\.0 does not read this engine: .*10\.7\.0") as caught:
        inspect_plan(board.libraries, make_plan(small_graph, tensorrt="10.7.0"))
    del caught
    assert board.left_behind() == {}


def test_the_device_has_no_memory_for_the_context(small_graph: bytes) -> None:
    board = SimulatedBoard(memory_bytes=100)
    with pytest.raises(ModelError, match="OutOfMemory") as caught:
        inspect_plan(board.libraries, make_plan(small_graph))
    assert "isolate multi-user.target" in caught.value.remedy
