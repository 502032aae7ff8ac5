"""`edge train`, `calibrate` and `compress` on two processes beside one, on a small camera and microphone project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from edge.checkpoint import load_checkpoint
from edge.compress.latency_table import LatencyTable, LayerLatency
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.sensitivity.calibrated_graph import fold_graph
from edge.compress.sensitivity.units import find_units
from edge.data.dataset_folder import DatasetManifest, SplitSpec, TensorSpec, create_arrays
from edge.project import preset_path
from edge.report.publish import read_report
from edge.runtime.bundle import Bundle

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0")
ENDED = re.compile(r"rank +: (\d).*?exitcode +: (-?\d+)", re.DOTALL)
SPLITS = {"train": 64, "validation": 24, "test": 24}
CLASSES = ["low", "middle", "high"]
NARROW = {name: {"embedding": 8, "hidden": [8, 8], "depths": [1, 1]} for name in ("image", "audio")}
FIT = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01, "precision": "float32"}
pytestmark = [pytest.mark.integration, pytest.mark.timeout(2 * PATIENCE)]


def edge(
    *arguments: object, processes: int, cwd: Path, launcher: tuple[str, ...] = TORCHRUN
) -> subprocess.CompletedProcess[str]:
    launch = () if processes == 1 else ("-m", *launcher)
    command = [sys.executable, *launch, "-m", "edge", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def write_dataset(folder: Path) -> None:
    """Level of the picture and of the sound say which class; both are noisy."""
    random = np.random.default_rng(0)
    folder.mkdir()
    members = {split: tuple(f"{split}-{i}" for i in range(count)) for split, count in SPLITS.items()}
    manifest = DatasetManifest.model_validate(
        {
            "schema": 1,
            "name": "levels",
            "provenance": {"made": "by a test"},
            "inputs": (
                TensorSpec(name="image", dtype="float32", shape=(1, 28, 28)),
                TensorSpec(name="audio", dtype="float32", shape=(1, 40, 49)),
            ),
            "targets": (TensorSpec(name="level", dtype="int64", shape=()),),
            "splits": {split: SplitSpec(ids=ids, recordings=ids) for split, ids in members.items()},
        }
    )
    for split, arrays in create_arrays(folder, manifest).items():
        level = np.arange(SPLITS[split]) % len(CLASSES)
        arrays["level"][:] = level
        for name in ("image", "audio"):
            noise = random.normal(0, 1.5, arrays[name].shape)
            arrays[name][:] = noise + (level - 1).reshape(-1, 1, 1, 1)
        for array in arrays.values():
            array.flush()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds project.yaml and its data."""
    path = tmp_path_factory.mktemp("processes")
    write_dataset(path / "data")
    example = yaml.safe_load((ROOT / "examples" / "av_digits" / "project.yaml").read_text())
    example["io"]["outputs"] = [{"decoder": "softmax", "tensor": "level", "classes": CLASSES}]
    rig = ROOT / "examples" / "av_digits" / "rig.yaml"
    project = {
        **example,
        "data": {"kind": "folder", "path": str(path / "data"), "rig": str(rig)},
        "teacher": {"encoders": NARROW, "fusion": {"channels": 16}},
        "student": {"encoders": NARROW, "fusion": {"channels": 8}},
        "train": FIT,
        "unimodal": 0,
        "augment": {},
        "recipe": {"stages": [{"stage": "distill", "fit": FIT}, {"stage": "quantize", "samples": 32}]},
    }
    (path / "project.yaml").write_text(yaml.safe_dump(project))
    return path


@pytest.fixture(scope="module")
def teachers(folder: Path) -> dict[int, Path]:
    """By the number of processes that trained it."""
    for processes in (1, 2):
        done = edge("train", "project.yaml", "--out", f"teacher-{processes}", processes=processes, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Next: edge compress") == 1, "one process speaks"
    return {processes: folder / f"teacher-{processes}" for processes in (1, 2)}


@pytest.fixture(scope="module")
def searching(folder: Path, teachers: dict[int, Path]) -> Path:
    """A recipe that only quantizes, by a plan that is searched for: INT8 takes a quarter of FP32's time."""
    share = {"int8": 0.25, "fp16": 0.5, "fp32": 1.0}
    rows = [
        LayerLatency.model_validate({"layer": layer, "operator": "Conv", "precision": p, "ms": 0.01 * s})
        for layer in layers_of(teachers[1])
        for p, s in share.items()
    ]
    table = LatencyTable.model_validate(
        {"source": "measured:test-board", "graph_sha256": "0" * 64, "layers": rows, "fixed_ms": 0.1}
    )
    table.save(folder / "table.yaml")
    search = {
        "table": str(folder / "table.yaml"),
        "budget": {"max_loss": 5, "max_loss_any": 9},
        "sensitivity": {"samples": 16, "scored": 2},
    }
    return write_recipe(folder / "searching.yaml", search=search)


def layers_of(checkpoint: Path) -> list[str]:
    model = load_checkpoint(checkpoint).model
    example = (torch.zeros(2, 1, 28, 28), torch.zeros(2, 1, 40, 49), torch.ones(2, 2))
    units = find_units(fold_graph(model, example, [example], QuantizeConfig()), ("image", "audio"))
    return [layer for unit in units for layer in unit.layers]


def write_recipe(path: Path, **settings: Any) -> Path:
    stage = {"stage": "quantize", "samples": 32, **settings}
    path.write_text(yaml.safe_dump({"stages": [stage]}))
    return path


@pytest.fixture(scope="module")
def quantized(folder: Path, teachers: dict[int, Path], searching: Path) -> dict[int, Path]:
    """The same teacher, compressed by so many processes."""
    for processes in (1, 2):
        arguments = ("compress", teachers[1], "--recipe", searching, "--out", f"quantized-{processes}")
        done = edge(*arguments, processes=processes, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Next: edge verify") == 1
    return {processes: folder / f"quantized-{processes}" for processes in (1, 2)}


def graphs_of(bundle: Path) -> dict[str, str]:
    """Digest of each graph."""
    files = Bundle.open(bundle).manifest.files
    return {name: entry.sha256 for name, entry in files.items() if name.startswith("graph.")}


def moved(one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
    """Distance between two sets of weights, against the length of the first."""
    difference = sum(float((one[k].double() - two[k].double()).square().sum()) for k in one)
    return float((difference / sum(float(v.double().square().sum()) for v in one.values())) ** 0.5)


def test_training_is_that_of_one_process_within_rounding(teachers: dict[int, Path]) -> None:
    weights = {processes: load_file(path / "model.safetensors") for processes, path in teachers.items()}
    assert moved(weights[1], weights[2]) < 1e-4
    records = [load_checkpoint(path).manifest.record for path in teachers.values()]
    assert records[0].metrics["all"]["score"] > 60, "it has learned something"
    for state, metrics in records[0].metrics.items():
        assert metrics["score"] == pytest.approx(records[1].metrics[state]["score"], abs=100 / SPLITS["test"] + 1e-6)


def test_scales_plan_and_graphs_are_those_of_one_process_to_the_byte(quantized: dict[int, Path]) -> None:
    bundles = {processes: Bundle.open(path / "bundle") for processes, path in quantized.items()}
    assert graphs_of(quantized[1] / "bundle") == graphs_of(quantized[2] / "bundle")
    assert {"graph.s8.onnx", "graph.u8.onnx"} <= set(graphs_of(quantized[1] / "bundle"))
    one, two = (bundle.manifest for bundle in bundles.values())
    assert one.calibration_digest == two.calibration_digest
    assert one.stages[-1].notes["precision_plan"]["precisions"] and one.stages[-1].notes == two.stages[-1].notes
    assert one.stages[-1].metrics == two.stages[-1].metrics


def test_a_gate_that_refuses_ends_both_processes_with_3_and_is_told_once(
    folder: Path, teachers: dict[int, Path], searching: Path, quantized: dict[int, Path]
) -> None:
    """The stage is not done again: a gate judges what lies in the work folder."""
    stage = yaml.safe_load(searching.read_text())["stages"][0]
    gated = write_recipe(folder / "gated.yaml", **{**stage, "gate": {"min_shrink": 50, "min_speedup": 0.01}})
    done = edge("compress", teachers[1], "--recipe", gated, "--out", quantized[2].name, processes=2, cwd=folder)
    assert {int(rank): int(code) for rank, code in ENDED.findall(done.stderr)} == {0: 3, 1: 3}
    assert done.stderr.count("edge: ") == 1 and "50.00x is asked" in done.stderr
    assert "teacher, quantize; --fresh does them again" in " ".join(done.stdout.split())
    report = read_report(quantized[2] / "report.json")
    assert [(stage.name, stage.refused) for stage in report.stages] == [("teacher", False), ("quantize", True)]
    assert set(Bundle.open(quantized[2] / "bundle").dialects) == {"fp32"}


def test_distillation_is_that_of_one_process_within_rounding(folder: Path, teachers: dict[int, Path]) -> None:
    for processes in (1, 2):
        done = edge("compress", teachers[1], "--out", f"taught-{processes}", processes=processes, cwd=folder)
        assert done.returncode == 0, done.stderr
    one, two = (load_file(folder / f"taught-{p}" / "work" / "stage-1" / "model.safetensors") for p in (1, 2))
    assert moved(one, two) < 1e-4
    for state, metrics in read_report(folder / "taught-1" / "report.json").stages[-1].metrics.items():
        other = read_report(folder / "taught-2" / "report.json").stages[-1].metrics[state]
        assert metrics["score"] == pytest.approx(other["score"], abs=100 / SPLITS["test"] + 1e-6)


def test_calibration_is_that_of_one_process_to_the_byte(folder: Path, teachers: dict[int, Path]) -> None:
    pytest.importorskip("accelerate")
    told = []
    for name, processes, launcher in (("one", 1, ()), ("torchrun", 2, TORCHRUN), ("accelerate", 2, ACCELERATE)):
        out = folder / f"ranges-{name}"
        arguments = ("calibrate", teachers[1], "--out", out, "--samples", "24", "--observer", "entropy", "--json")
        done = edge(*arguments, processes=processes, launcher=launcher, cwd=folder)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
    assert told[0] == told[1] == told[2] and told[0]["agreement"]["samples"] == SPLITS["train"]
    one, *others = (
        np.load(folder / f"ranges-{name}" / "ranges" / "ranges.npz") for name in ("one", "torchrun", "accelerate")
    )
    for other in others:
        assert set(one.files) == set(other.files)
        assert all(np.array_equal(one[name], other[name]) for name in one.files)


def test_an_onnx_file_is_refused_to_several_processes(tmp_path: Path) -> None:
    done = edge("compress", "model.onnx", "--out", "out", processes=2, cwd=tmp_path)
    assert {int(rank): int(code) for rank, code in ENDED.findall(done.stderr)} == {0: 2, 1: 2}
    assert done.stderr.count("model.onnx is an ONNX file, which one process quantizes") == 1


def test_the_first_process_draws_the_dataset_and_what_is_wrong_is_told_once(tmp_path: Path) -> None:
    data = {"train": 4, "validation": 1, "test": 1, "workers": 1}
    (tmp_path / "street.yaml").write_text(yaml.safe_dump({"base": str(preset_path("street_demo")), "data": data}))
    done = edge("train", "street.yaml", "--out", "teacher", processes=2, cwd=tmp_path)
    assert {int(rank): int(code) for rank, code in ENDED.findall(done.stderr)} == {0: 2, 1: 2}
    assert done.stderr.count("4 samples fill no batch") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["street.yaml", "teacher-data"]
    assert len(list((tmp_path / "teacher-data").glob("*.npy"))) == 3 * 6
