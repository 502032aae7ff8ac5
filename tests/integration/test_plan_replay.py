"""A plan that `edge compress` searched, edited by hand and replayed, from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import yaml

from edge.checkpoint import load_checkpoint
from edge.compress.export import export_onnx
from edge.compress.precision_plan import load_plan
from edge.compress.sensitivity.report import load_sensitivity
from edge.data.prepared import prepare_dataset
from edge.devices.catalog import load_device
from edge.devices.estimate import estimate_graph
from edge.graph.layers import weighted_layers
from edge.project import load_project
from edge.report.publish import read_report
from edge.runtime.bundle import Bundle
from edge.runtime.simulate.rig import street_rig
from edge.workbench import open_workbench

PATIENCE = 600
pytestmark = [pytest.mark.integration, pytest.mark.timeout(2 * PATIENCE)]
ANY = {"max_loss": 100, "max_loss_any": 100}
ENCODER = {"embedding": 8, "hidden": [16, 16], "depths": [1, 1]}
WIDTHS = {"encoders": {"camera": ENCODER, "audio": ENCODER}, "fusion": {"channels": 16}}
# Two modalities have three states, and a search runs every layer in each.
PROJECT = {
    "name": "planned",
    "io": {
        "schema": 1,
        "inputs": [
            {"feature": "image", "tensor": "camera", "stream": "camera", "shape": [1, 3, 32, 104]},
            {"feature": "logmel", "tensor": "audio", "stream": "audio", "shape": [1, 1, 40, 96]},
            {"feature": "present", "streams": ["camera", "audio"]},
        ],
        "outputs": [
            {
                "decoder": "grid",
                "tensor": "objects",
                "distance_tensor": "distance",
                "camera": "camera",
                "classes": ["car", "truck", "pedestrian", "cyclist", "emergency"],
            },
            {"decoder": "events", "tensor": "events", "classes": ["siren", "horn"]},
        ],
    },
    "data": {"kind": "street", "train": 32, "validation": 12, "test": 4},
    "teacher": WIDTHS,
    "student": WIDTHS,
    "train": {"epochs": 1, "batch_size": 16},
    "recipe": {"stages": [{"stage": "quantize"}]},
}


def edge(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planned")
    (folder / "drawn.yaml").write_text(yaml.safe_dump(PROJECT))
    data = prepare_dataset(load_project(folder / "drawn.yaml"), folder / "data")
    rig = street_rig().model_dump(mode="json", by_alias=True)
    (folder / "rig.yaml").write_text(yaml.safe_dump(rig))
    recorded = {"kind": "folder", "path": str(data), "rig": "rig.yaml"}  # which no simulated run follows
    (folder / "project.yaml").write_text(yaml.safe_dump({**PROJECT, "data": recorded}))
    done = edge("train", "project.yaml", "--out", folder / "teacher", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "teacher"


@pytest.fixture(scope="module")
def searched(teacher: Path) -> tuple[Path, str]:
    """OUT of a run that searched, and what it printed."""
    folder = teacher.parent
    saved = load_checkpoint(teacher)
    bench = open_workbench(saved.manifest.project, saved.manifest.dataset).measurer
    graph = export_onnx(saved.model, bench.example_inputs(), bench.input_names, bench.output_names)
    estimate_graph(graph, load_device("orin-nano-8gb")).latency_table().save(folder / "table.yaml")
    search = {"table": str(folder / "table.yaml"), "budget": ANY, "sensitivity": {"samples": 2, "scored": 1}}
    quick = {"bias_correction": False}  # which would run the calibration set for every layer
    recipe = {"stages": [{"stage": "quantize", "samples": 8, "quantize": quick, "search": search}]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = edge("compress", teacher, "--recipe", "recipe.yaml", "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


def test_a_search_is_printed_and_kept(searched: tuple[Path, str]) -> None:
    out, printed = searched
    words = " ".join(printed.split())
    assert "What INT8 alone does to parts of 'quantize'" in words and "The plan of 'quantize'" in words
    assert "estimate:orin-nano-8gb" in words
    assert f"--recipe {out.name}/replay.yaml" in words
    stage = read_report(out / "report.json").stages[-1]
    assert stage.precision is not None and stage.precision.searched is not None
    assert load_plan(out / "plan.yaml") == stage.precision.made.plan
    found = load_sensitivity(out / "sensitivity.json")
    assert found == stage.precision.sensitivity
    assert {row.target for row in found.rows} >= {"branches.camera", "fusion"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What each layer computes in" in page and "estimate:orin-nano-8gb" in page
    judged = stage.precision.searched.judged
    assert judged is not None and (judged.judged_on, judged.recordings) == ("half", 6)
    assert stage.gate is not None and stage.gate.recordings == 6


def test_a_line_edited_by_hand_is_what_the_replay_computes_in(teacher: Path, searched: tuple[Path, str]) -> None:
    out, _ = searched
    plan = out / "plan.yaml"
    before = precisions_of(out / "bundle")
    chosen = next(layer for layer, precision in before.items() if precision == "int8")
    lines = plan.read_text().replace("rules:\n", f"rules:\n# by hand\n- {{layers: {chosen}, precision: fp16}}\n")
    plan.write_text(lines)
    done = edge("compress", teacher, "--recipe", out / "replay.yaml", "--out", out, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    assert "Taken from" in done.stdout and "teacher; --fresh" in " ".join(done.stdout.split())
    assert "What 'quantize' computes in" in " ".join(done.stdout.split())
    after = precisions_of(out / "bundle")
    assert after == {**before, chosen: "fp16"}
    assert plan.read_text() == lines and not (out / "plan.old.yaml").exists()
    noted = read_report(out / "report.json").stages[-1].precision
    assert noted is not None and noted.searched is None and noted.made.precisions[chosen] == "fp16"


def precisions_of(bundle: Path) -> dict[str, str]:
    """What each layer computes in, in the dialect that has all precisions."""
    graph = onnx.load_model_from_string((Bundle.open(bundle).path / "graph.s8f16.onnx").read_bytes())
    return {layer.name: layer.precision for layer in weighted_layers(graph)}


def test_a_rule_for_another_model_is_one_line_and_exit_code_2(teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("rules:\n- {layers: 'backbone.*', precision: int8}\n")
    recipe = {"stages": [{"stage": "quantize", "samples": 16, "plan": str(tmp_path / "plan.yaml")}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = edge("compress", teacher, "--recipe", "recipe.yaml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "no rule of the precision plan names a layer" in done.stderr and "Traceback" not in done.stderr
