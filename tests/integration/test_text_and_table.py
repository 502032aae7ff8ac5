"""Token ids through every stage: a text and a table, adapters, distil, prune, INT8 under gates, a bundle that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch

from edge.compress.export import run_graph
from edge.compress.onnx_model.input_samples import InputSamples
from edge.compress.onnx_model.static_quantization import quantize_onnx
from edge.compress.program.file import read_program
from edge.devices.catalog import load_device
from edge.devices.estimate import estimate_graph
from edge.packing.pack import BundleContents, pack_bundle
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.manifest import TrainingData
from edge.runtime.rig import Rig
from tests.integration.text_and_table import (
    FIELDS,
    FITTING,
    WORDS,
    compressed,
    measurer,
    trained_teacher,
    ward_io,
    ward_samples,
)
from tests.runtime.preprocess.small_tokenizer import SPECIAL, tokenizer_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.compress.stages.measure import MeasuredStage

pytestmark = pytest.mark.integration

GATE = {"max_loss": 15.0, "max_loss_any": 40.0}
CHAIN: list[dict[str, Any]] = [
    {"stage": "distill", "fit": {"epochs": 8, **FITTING}, "distill": {"branches": {}}, "gate": GATE},
    {
        "stage": "prune",
        "prune": {"macs_ratio": 0.7, "align": 4, "minimum": 4},
        "fit": {"epochs": 2, **FITTING},
        "gate": {**GATE, "min_shrink": 1.01},
    },
    {"stage": "quantize", "samples": 64, "quantize": {"equalize": "activations"}, "gate": GATE},
]
NAMES = ("report", "labs", "present")


@pytest.fixture(scope="module")
def stages() -> list[MeasuredStage]:
    """The teacher's text encoder was tuned by adapters; the student's is trained as a whole."""
    train = ward_samples("train", 512, 1)
    teacher = trained_teacher(train, tuning="lora", lora={"rank": 8, "layers": "all"})
    return compressed(CHAIN, train, teacher)


def feeds(count: int) -> list[dict[str, NDArray[np.generic]]]:
    test, present = measurer().test, np.ones((1, 2), np.float32)
    return [
        {"report": test.inputs[0][i : i + 1].numpy(), "labs": test.inputs[1][i : i + 1].numpy(), "present": present}
        for i in range(count)
    ]


def accuracy(graph: onnx.ModelProto) -> float:
    answers = [run_graph(graph, dict(feed))[0].argmax() for feed in feeds(64)]
    return 100.0 * float(np.mean(np.array(answers) == measurer().test.targets[0].numpy()))


def test_every_stage_passes_its_gate_in_every_state(stages: list[MeasuredStage]) -> None:
    assert [stage.record.name for stage in stages] == ["teacher", "student", "prune", "quantize"]
    for stage in stages:
        scores = {state: metrics["score"] for state, metrics in stage.record.metrics.items()}
        assert set(scores) == {"all", "only_report", "only_labs"}
        assert scores["all"] > 85.0
        assert scores["only_report"] > 75.0  # a third by chance
        assert scores["only_labs"] > 50.0
    assert stages[-1].record.notes["u8_agrees_with_s8"] > 0.95
    assert stages[-1].record.notes["s8f16_agrees_with_s8"] > 0.95
    assert "no_program" not in stages[-1].record.notes
    assert "left_float" not in stages[-1].record.notes


def test_each_stage_shrinks_what_it_should(stages: list[MeasuredStage]) -> None:
    teacher, student, pruned, _ = (stage.record for stage in stages)
    assert student.params < teacher.params
    assert pruned.macs <= 0.71 * student.macs


def test_the_program_and_the_graph_take_ids_and_agree(stages: list[MeasuredStage]) -> None:
    content, feed = stages[-1].program, feeds(1)[0]
    assert content is not None
    program = read_program(content, "the stage's program")
    assert program.input_names == NAMES
    with torch.no_grad():
        answer = program.exported.module()(*(torch.from_numpy(feed[name]) for name in NAMES))[0]
    graph = onnx.load_model_from_string(stages[-1].graphs["s8"])
    np.testing.assert_allclose(run_graph(graph, dict(feed))[0], answer.numpy(), atol=0.05 * float(answer.abs().max()))


def test_the_bundle_runs_on_ids(stages: list[MeasuredStage], tmp_path: Path) -> None:
    bundle = packed(tmp_path / "bundle", stages)
    engine, labels = OnnxRuntimeEngine(bundle.graph("s8"), "s8"), measurer().test.targets[0].tolist()
    right = sum(int(engine.run(feed)["ward"].argmax()) == label for feed, label in zip(feeds(64), labels, strict=True))
    assert 100.0 * right / 64 == pytest.approx(stages[-1].record.metrics["all"]["score"])
    for case in bundle.golden_inputs():
        assert case["report"].dtype == np.int64


def packed(path: Path, stages: list[MeasuredStage]) -> Bundle:
    streams: Mapping[str, object] = {
        "report": {"kind": "text", "rate_hz": 1.0},
        "labs": {"kind": "table", "rate_hz": 1.0, "fields": [f"f{i}" for i in range(FIELDS)]},
    }
    contents = BundleContents(
        name="ward",
        graphs=stages[-1].graphs,
        model_io=ward_io(),
        rig=Rig.model_validate({"schema": 1, "anchor": "labs", "streams": streams}),
        recipe={"stages": CHAIN},
        data=TrainingData(kind="simulated", description="drawn by the test"),
        validated_states={state: m["score"] for state, m in stages[-1].record.gate_metrics.items()},
        golden_inputs=feeds(2),
        licenses="Apache-2.0",
        stages=[stage.record for stage in stages],
        program=stages[-1].program,
        tokenizers={"tokenizer.json": tokenizer_json([*SPECIAL, *(f"w{i}" for i in range(WORDS - len(SPECIAL)))])},
    )
    return pack_bundle(path, contents)


def test_an_onnx_file_with_ids_is_quantized_without_torch(stages: list[MeasuredStage]) -> None:
    graph = onnx.load_model_from_string(stages[0].graphs["fp32"])
    train = ward_samples("train", 64, 1)
    ids = tuple(map(str, range(64)))
    tensors = [*(t.numpy() for t in train.inputs), np.ones((64, 2), np.float32)]
    quantized = quantize_onnx(graph, InputSamples(ids, dict(zip(NAMES, tensors, strict=True))))
    kinds = {item.name: item.type.tensor_type.elem_type for item in quantized.s8.graph.input}
    assert kinds["report"] == onnx.TensorProto.INT64
    assert quantized.left_float == {}
    assert accuracy(quantized.s8) >= accuracy(quantized.float32) - 5.0


def test_a_plan_of_precisions_is_found_for_ids(stages: list[MeasuredStage], tmp_path: Path) -> None:
    """Sensitivities, the emulation of FP16, and the search all run on graphs with token ids."""
    fp32 = onnx.load_model_from_string(stages[2].graphs["fp32"])
    path = tmp_path / "table.yaml"
    estimate_graph(fp32, load_device("orin-nano-8gb")).latency_table().save(path)
    budget = {"max_loss": 20.0, "max_loss_any": 40.0}
    sensitivity = {"samples": 16, "scored": 2}
    search = {"table": str(path), "budget": budget, "sensitivity": sensitivity, "trials": 2, "confirmations": 1}
    model = stages[2].artifact.model
    found = compressed([{"stage": "quantize", "samples": 32, "search": search}], ward_samples("train", 128, 1), model)
    assert found[-1].record.notes["precision_plan"]
    assert found[-1].record.metrics["all"]["score"] > 75.0
