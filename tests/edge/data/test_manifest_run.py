"""A bundle that runs on a manifest says of every row what its model says of the dataset drawn from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge.data.dataset_folder import load_split
from edge.data.prepared import prepare_dataset
from edge.data.stream_columns import write_stream_columns
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import DataError
from edge.runtime.manifest import TrainingData
from edge.runtime.pipeline import Pipeline, RunSettings
from edge.runtime.sources.grammar import open_sources
from edge.runtime.sources.manifest_source import ManifestSource, manifest_options
from edge.runtime.states import all_states
from tests.edge.data.manifest_projects import project_on
from tests.runtime.sources.manifest_files import CLASSES, IO, LAYOUT, RIG, changed, machine_rows, write_rows

if TYPE_CHECKING:
    from edge.runtime.fusion import Inference
    from edge.runtime.result import FusedResult

SHAPES = {"picture": (1, 1, 8, 8), "sound": (1, 1, 16, 9), "values": (1, 2), "history": (1, 1, 3), "present": (1, 4)}
SPLITS = ("train", "validation", "test")


def graph() -> bytes:
    """Logits that depend on every value of every input."""
    onnx = pytest.importorskip("onnx")
    helper, random = onnx.helper, np.random.default_rng(2)
    size = sum(int(np.prod(shape)) for shape in SHAPES.values())
    weights = onnx.numpy_helper.from_array(random.normal(size=(size, 3)).astype(np.float32) / 8, "weights")
    nodes = [helper.make_node("Flatten", [name], [f"flat_{name}"]) for name in SHAPES]
    nodes.append(helper.make_node("Concat", [f"flat_{name}" for name in SHAPES], ["all"], axis=1))
    nodes.append(helper.make_node("MatMul", ["all", "weights"], ["state"]))
    inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in SHAPES.items()]
    output = helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, (1, len(CLASSES)))
    made = helper.make_graph(nodes, "linear", inputs, [output], [weights])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    """Of which some lack something; every one has its picture."""
    found = machine_rows(tmp_path)
    random = np.random.default_rng(1)
    for row in found:
        for cells in (("sound",), ("sodium", "urea"), ("power",)):
            if random.uniform() < 0.2:
                row.update(dict.fromkeys(cells, ""))
    return found


@pytest.fixture
def bundle(tmp_path: Path, rows: list[dict[str, str]]) -> Bundle:
    """Trained, as far as its recipe says, from a manifest."""
    from edge.packing.pack import BundleContents, pack_bundle

    project = project_on(write_rows(tmp_path / "rows.csv", rows))
    random = np.random.default_rng(6)
    contents = BundleContents(
        name="machines",
        graphs={"fp32": graph()},
        model_io=IO,
        rig=RIG,
        recipe=project.model_dump(mode="json", by_alias=True),
        data=TrainingData(kind="simulated", description="made up"),
        validated_states=dict.fromkeys(all_states(IO.modalities), 50.0),
        golden_inputs=[{name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}],
        licenses="Apache-2.0",
    )
    return pack_bundle(tmp_path / "bundle", contents)


def answers(bundle: Bundle, dataset: Path) -> dict[str, NDArray[np.float32]]:
    """The model's logits on every sample of a dataset folder."""
    engine, found = OnnxRuntimeEngine(bundle.graph("fp32"), "fp32"), {}
    for split in SPLITS:
        data = load_split(dataset, split)  # type: ignore[arg-type]
        assert data.available is not None
        for number, name in enumerate(data.ids):
            tensors = [values[number : number + 1].numpy() for values in (*data.inputs, data.available)]
            found[name] = engine.run(dict(zip(SHAPES, tensors, strict=True)))["state"]
    return found


class Listening:
    """The bundle's engine, which keeps what it answered last."""

    name = "listening"

    def __init__(self, bundle: Bundle) -> None:
        self._engine = OnnxRuntimeEngine(bundle.graph("fp32"), "fp32")
        self.last: NDArray[np.float32] = np.zeros(0, np.float32)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outputs = self._engine.run(inputs)
        self.last = outputs["state"].copy()
        return outputs


def test_every_row_gets_the_answer_of_the_dataset(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    words = [f"manifest:{path}"]
    source = open_sources(words, rows=manifest_options(bundle, words))
    assert isinstance(source, ManifestSource)
    engine, logits = Listening(bundle), {}

    def keep(inference: Inference, _result: FusedResult) -> None:
        if inference.times is not None:
            logits[inference.synced.stamp_ns] = engine.last

    Pipeline(bundle, source, engine, settings=RunSettings(), on_fused=keep).run()
    expected = answers(bundle, prepare_dataset(project_on(path), tmp_path / "data"))
    worst = max(float(np.abs(logits[stamp] - expected[name]).max()) for stamp, name in source.stamped)
    assert len(source.stamped) == len(expected) == 20
    assert worst < 1e-4
    assert len({int(values.argmax()) for values in expected.values()}) > 1, "not always the same class"


def test_the_command_runs_a_split_of_a_manifest(bundle: Bundle, tmp_path: Path) -> None:
    from edge.cli import app

    words = [f"manifest:{tmp_path / 'rows.csv'},split=test,limit=4"]
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["run", str(bundle.path), "--source", words[0], "--out", str(out)])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    by_stamp = {line["stamp_ns"]: line for line in lines if line["valid"]}
    source = open_sources(words, rows=manifest_options(bundle, words))
    assert isinstance(source, ManifestSource)
    expected = answers(bundle, prepare_dataset(project_on(tmp_path / "rows.csv"), tmp_path / "data"))
    assert [name for _, name in source.stamped] == ["s2", "s6", "s10", "s14"]
    for stamp, name in source.stamped:
        weights = np.exp(expected[name][0].astype(np.float64))
        (event,) = by_stamp[stamp]["events"]
        assert event["class"] == CLASSES[int(weights.argmax())]
        assert event["score"] == pytest.approx(weights.max() / weights.sum(), abs=1e-4)
    report = json.loads((out / "report.json").read_text())
    assert "4 rows of the split 'test' of rows.csv" in report["data"]
    assert any("trained on simulated data" in note for note in report["notes"]), "these rows are not generated"
    assert not any("mend it" in note for note in report["notes"])


def test_generated_rows_are_no_recording(bundle: Bundle, tmp_path: Path) -> None:
    from edge.fused_run import is_simulated, run_bundle
    from edge.report.publish import JSON_NAME, read_report

    path = tmp_path / "rows.csv"
    write_stream_columns(path, changed(LAYOUT, generated=True))
    words = [f"manifest:{path},limit=2"]
    source = open_sources(words, rows=manifest_options(bundle, words))
    assert is_simulated(source)
    run_bundle(bundle, source, tmp_path / "run")
    notes = read_report(tmp_path / "run" / JSON_NAME).notes
    assert not any("simulated data" in note for note in notes)


def test_a_bad_row_ends_the_command_with_one_line(bundle: Bundle, tmp_path: Path) -> None:
    from edge.cli import app

    (tmp_path / "6.png").unlink()
    words = f"manifest:{tmp_path / 'rows.csv'}"
    done = CliRunner().invoke(app, ["run", str(bundle.path), "--source", words, "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, DataError)
    assert (done.exception.exit_code, (tmp_path / "run").exists()) == (2, False)
    assert "row 7, column 'picture': there is no file" in done.exception.problem
