"""A small bundle that reads text, a series and a reading: a graph of few nodes whose answers depend on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.model_io import ModelIO
from edge.runtime.rig import Rig
from edge.runtime.sample import Payload, Reading, Sample, Text
from tests.runtime.preprocess.small_tokenizer import SPECIAL, WORDS, tokenizer_json

if TYPE_CHECKING:
    from edge.packing.pack import BundleContents

MS = 1_000_000
LENGTH, STEPS, VOCABULARY = 8, 4, len(SPECIAL) + len(WORDS)
CLASSES = ("quiet", "worn", "broken")
SAID = ("door is open", "pump is loud", "no finding", "pump open", "loud door")


def text_rig() -> Rig:
    """A speed that leads, a room that is read as series, and reports that are held."""
    return Rig.model_validate(
        {
            "schema": 1,
            "anchor": "speed",
            "streams": {
                "speed": {"kind": "table", "rate_hz": 10, "transport_ms": 2, "fields": ["rpm"]},
                "room": {
                    "kind": "table",
                    "rate_hz": 20,
                    "transport_ms": 5,
                    "fields": ["t", "h"],
                    "conceal_ms": 60,
                },
                "report": {
                    "kind": "text",
                    "rate_hz": 1,
                    "transport_ms": 1,
                    "policy": "hold",
                    "max_age_ms": 2500,
                    "max_text_bytes": 200,
                },
            },
        }
    )


def text_io(tokenizer: str = "words.json") -> ModelIO:
    return ModelIO.model_validate(
        {
            "schema": 1,
            "inputs": [
                {
                    "feature": "tokens",
                    "tensor": "ids",
                    "stream": "report",
                    "shape": [1, LENGTH],
                    "tokenizer": tokenizer,
                    "vocabulary": VOCABULARY,
                },
                {
                    "feature": "series",
                    "tensor": "last",
                    "stream": "room",
                    "shape": [1, 2, STEPS],
                    "fields": ["t", "h"],
                    "mean": [20, 50],
                    "std": [5, 10],
                },
                {
                    "feature": "tensor",
                    "tensor": "now",
                    "stream": "speed",
                    "shape": [1, 1],
                    "fields": ["rpm"],
                    "mean": [1000],
                    "std": [100],
                },
                {"feature": "present", "streams": ["report", "room", "speed"]},
            ],
            "outputs": [{"decoder": "softmax", "tensor": "state", "classes": list(CLASSES)}],
        }
    )


def text_graph(element: str = "INT64") -> bytes:
    """Embedding, mean, and one layer over everything; `element` is the type of the ids."""
    onnx = pytest.importorskip("onnx")
    helper, random = onnx.helper, np.random.default_rng(9)

    def tensor(name: str, kind: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)

    def weight(name: str, *shape: int) -> Any:
        return onnx.numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Cast", ["ids"], ["whole"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["table", "whole"], ["words"]),
        helper.make_node("ReduceMean", ["words", "axes"], ["meaning"], keepdims=0),
        helper.make_node("Flatten", ["last"], ["course"]),
        helper.make_node("Concat", ["meaning", "course", "now", "present"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "w"], ["state"]),
    ]
    graph = helper.make_graph(
        nodes,
        "text",
        [
            tensor("ids", element, 1, LENGTH),
            tensor("last", "FLOAT", 1, 2, STEPS),
            tensor("now", "FLOAT", 1, 1),
            tensor("present", "FLOAT", 1, 3),
        ],
        [tensor("state", "FLOAT", 1, len(CLASSES))],
        [
            weight("table", VOCABULARY, 5),
            weight("w", 5 + 2 * STEPS + 1 + 3, len(CLASSES)),
            onnx.numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def text_feeds(count: int = 3) -> list[dict[str, Any]]:
    """Inputs as a preprocessor makes them."""
    from edge.runtime.preprocess.preprocessor import Preprocessor
    from edge.runtime.sample import Series

    made = Preprocessor(text_io(), text_rig(), {"words.json": tokenizer_json()})
    room = Series(np.array([[20 + k, 50 - k] for k in range(STEPS)], np.float32), ("t", "h"))
    speed = Reading(np.array([1100], np.float32), ("rpm",))
    return [dict(made.inputs({"report": Text(text), "room": room, "speed": speed})) for text in SAID[:count]]


def text_contents(graphs: Mapping[str, bytes] | None = None) -> BundleContents:
    from edge.packing.pack import BundleContents
    from edge.runtime.manifest import StageEntry, TrainingData

    graphs = graphs or {"fp32": text_graph()}
    return BundleContents(
        name="text",
        graphs=graphs,
        model_io=text_io(),
        rig=text_rig(),
        recipe={"stages": []},
        data=TrainingData(kind="none", description="untrained"),
        validated_states={"all": 90.0, "no_report": 80.0, "no_room": 70.0, "only_speed": 50.0},
        golden_inputs=text_feeds(),
        licenses="Apache-2.0",
        stages=[StageEntry(name="teacher", params=100, macs=1, bytes=1, metrics={})],
        tokenizers={"words.json": tokenizer_json()},
    )


class PlantSource:
    """So many seconds of a plant: speed at 10 Hz, room at 20 Hz, a report a second; a `Source`."""

    description = "a plant in a test"

    def __init__(self, seconds: float, change: Callable[[Sample], Sample | None] = lambda sample: sample) -> None:
        self.rig = text_rig()
        rates = {"speed": 10, "room": 20, "report": 1}
        made = [self._sample(name, rate, k) for name, rate in rates.items() for k in range(int(seconds * rate))]
        changed = [sample for sample in map(change, made) if sample is not None]
        self._samples = sorted(changed, key=lambda s: s.arrival_ns)

    def samples(self) -> Iterator[Sample]:
        return iter(self._samples)

    @staticmethod
    def _sample(name: str, rate: int, k: int) -> Sample:
        stamp = 5_000 * MS + k * 1000 * MS // rate
        payloads: dict[str, Callable[[], Payload]] = {
            "speed": lambda: Reading(np.array([1000 + 90 * np.sin(k / 3)], np.float32), ("rpm",)),
            "room": lambda: Reading(np.array([20 + 4 * np.sin(k / 7), 50 + k % 9], np.float32), ("t", "h")),
            "report": lambda: Text(SAID[k % len(SAID)]),
        }
        delay = {"speed": 2, "room": 5, "report": 1}[name]
        return Sample(name, stamp, stamp + delay * MS, k, payloads[name]())
