"""`edge compress MODEL.onnx`, from the file to the folder, its gates and its refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from edge.cli import main
from edge.compile.check.graph_steps import check_graphs, check_operators, run_graphs
from edge.compile.check.subject import open_subject
from edge.compile.check.target import open_target
from edge.compress.onnx_model.recipe import AgreementGate, OnnxRecipe, load_onnx_recipe
from edge.onnx_compression.outcome import compress_file
from edge.runtime.errors import ConfigError, DataError, GateError, ModelError


def small_model() -> onnx.ModelProto:
    """A residual block, a pool and a classifier over `image`."""
    rng = np.random.default_rng(0)
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "w2": (4, 8)}
    constants = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="stem.relu"),
        helper.make_node("Conv", ["b", "w1"], ["c"], name="body", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "c"], ["d"], name="body.add"),
        helper.make_node("Relu", ["d"], ["e"], name="body.relu"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], name="pool"),
        helper.make_node("Flatten", ["f"], ["g"], name="flat"),
        helper.make_node("Gemm", ["g", "w2"], ["logits"], name="head", transB=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 10, 10])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])
    weights = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", [image], [logits], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    onnx.save(small_model(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    levels = rng.uniform(0, 3, (40, 3, 1, 1))  # so that the classes lie apart
    images = rng.normal(levels, 0.2, (40, 3, 10, 10)).astype(np.float32)
    np.savez(tmp_path / "data.npz", image=images)
    return tmp_path / "data.npz"


def edge(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["edge", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_the_folder_holds_every_dialect_and_its_record(
    model_file: Path,
    data_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert edge(monkeypatch, "compress", model_file, "--calibration", data_file, "--out", out) == 0
    names = {"graph.fp32.onnx", "graph.s8.onnx", "graph.s8f16.onnx", "graph.u8.onnx", "record.json", "recipe.yaml"}
    assert {path.name for path in out.iterdir()} == names
    record = json.loads((out / "record.json").read_text())
    assert record["schema"] == 1 and record["inputs"] == {"image": [1, 3, 10, 10]}
    assert record["bytes"] == {p.name.split(".")[1]: p.stat().st_size for p in out.glob("*.onnx")}
    assert len(record["calibrated_on"]) == 32 and record["compared_on"][0] == "data.npz[4]"
    assert record["declared"] == {"int8": 1.0} and record["macs"] == 100 * 8 * (27 + 72) + 32
    assert record["proved"]["int8"] == 1.0 and record["proved_by"].startswith("ONNX Runtime")
    assert all(outputs[0]["agreement"] >= 0.85 for outputs in record["agreement"].values())
    assert all(outputs[0]["sqnr_db"] > 25 for outputs in record["agreement"].values())
    assert load_onnx_recipe(out / "recipe.yaml") == OnnxRecipe()
    printed = capsys.readouterr().out
    assert "100.0% declared" in printed and "100.0% proved" in printed
    assert edge(monkeypatch, "compress", model_file, "--calibration", data_file, "--out", out) == 0


def test_the_s8_graph_passes_the_steps_of_edge_check(model_file: Path, data_file: Path, tmp_path: Path) -> None:
    compress_file(model_file, data_file, OnnxRecipe()).write(tmp_path / "out")
    subject = open_subject(tmp_path / "out" / "graph.s8.onnx")
    target = open_target("orin-nano-8gb")
    for step in (check_graphs(subject), run_graphs(subject), check_operators(subject, target)):
        assert step.status == "passed", step


def test_weights_that_lie_beside_the_file_are_taken_in(data_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "external"
    folder.mkdir()
    path = folder / "model.onnx"
    onnx.save(small_model(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    whole = tmp_path / "whole.onnx"
    onnx.save(small_model(), whole)
    recipe = OnnxRecipe()
    assert compress_file(path, data_file, recipe).graphs == compress_file(whole, data_file, recipe).graphs
    (folder / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights.bin, which is missing"):
        compress_file(path, data_file, recipe)


@pytest.mark.parametrize(
    ("gate", "told"),
    [({"min_sqnr_db": 90}, "'logits' has .* dB"), ({"min_int8_share": 1.0}, "of the MACs are INT8")],
)
def test_a_gate_refuses_with_3_and_writes_nothing(
    model_file: Path,
    data_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gate: dict[str, float],
    told: str,
) -> None:
    recipe = tmp_path / "recipe.yaml"
    content = {"quantize": {"keep_float": ["head"]}, "gate": {"min_agreement": 0, "min_sqnr_db": 0, **gate}}
    recipe.write_text(yaml.safe_dump(content))
    out = tmp_path / "out"
    arguments = ["compress", model_file, "--calibration", data_file, "--out", out, "--recipe", recipe]
    assert edge(monkeypatch, *arguments) == 3
    assert not out.exists()
    streams = capsys.readouterr()
    assert "What INT8 cost and brought" in streams.out
    assert re.search(told, streams.err)


def test_a_gate_on_agreement_names_the_output(model_file: Path, data_file: Path) -> None:
    result = compress_file(model_file, data_file, OnnxRecipe(gate=AgreementGate()))
    outputs = result.record.agreement["s8"]
    worse = [o.model_copy(update={"agreement": 0.5}) for o in outputs]
    with pytest.raises(GateError, match=r"50.0% of 8 decisions of 'logits' agree .*, 98.0% are asked"):
        AgreementGate().check_outputs(worse)


def test_the_same_input_gives_the_same_files(model_file: Path, data_file: Path) -> None:
    first, second = (compress_file(model_file, data_file, OnnxRecipe()) for _ in range(2))
    assert first.graphs == second.graphs


def test_no_data_is_an_error(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge(monkeypatch, "compress", model_file, "--out", tmp_path / "out") == 2
    assert "no samples to calibrate" in capsys.readouterr().err
    np.savez(tmp_path / "few.npz", image=np.zeros((3, 3, 10, 10), np.float32))
    with pytest.raises(DataError, match="3 samples, but every 5th is held back"):
        compress_file(model_file, tmp_path / "few.npz", OnnxRecipe())


def test_a_folder_with_other_things_is_not_replaced(
    model_file: Path, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    out = tmp_path / "letters"
    assert edge(monkeypatch, "compress", model_file, "--calibration", data_file, "--out", out) == 2
    assert (out / "a.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"quantise": {}}, "quantise"),
        ({"quantize": {"observer": "best"}}, "quantize.observer"),
        ({"held_back": 1}, "held_back"),
        ({"stages": [{"stage": "prune"}]}, "stages"),
        ({"gate": {"min_agreement": 2}}, "gate.min_agreement"),
    ],
)
def test_a_recipe_with_a_wrong_key_is_refused_by_its_name(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=told):
        load_onnx_recipe(path)


def test_a_file_that_is_no_model_is_refused(data_file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken.onnx"):
        compress_file(tmp_path / "broken.onnx", data_file, OnnxRecipe())
