"""The BUILD path on a small street dataset: draw, train, distil, prune, quantize, pack, in one go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edge.checkpoint import CheckpointManifest, load_checkpoint, save_checkpoint
from edge.compress.program.file import read_program
from edge.data.dataset_folder import load_split, read_manifest
from edge.data.prepared import prepare_dataset
from edge.project import Project, load_project
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ModelError
from edge.workbench import Workbench, open_workbench

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compress.stages.measure import MeasuredStage

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def project(small_project: Path) -> Project:
    return load_project(small_project)


@pytest.fixture(scope="module")
def bench(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return open_workbench(project, prepare_dataset(project, tmp_path_factory.mktemp("data") / "street"))


@pytest.fixture(scope="module")
def stages(bench: Workbench) -> list[MeasuredStage]:
    model, seconds = bench.train_teacher()
    teacher = bench.measure_teacher(model, seconds)
    return [teacher, *bench.compress(teacher)]


def test_every_stage_is_measured_in_every_state(stages: list[MeasuredStage]) -> None:
    assert [s.record.name for s in stages] == ["teacher", "student", "prune", "quantize"]
    for stage in stages:
        assert set(stage.record.metrics) == {
            "all", "no_camera", "no_lidar", "no_audio", "only_camera", "only_lidar", "only_audio",
        }  # fmt: skip
        assert {"score", "detection_f1", "event_f1"} <= set(stage.record.metrics["all"])


def test_every_stage_shrinks_what_it_should(stages: list[MeasuredStage]) -> None:
    teacher, student, pruned, quantized = (s.record for s in stages)
    assert student.params < teacher.params
    assert pruned.macs <= 0.71 * student.macs
    assert pruned.params < student.params
    assert quantized.bytes < pruned.bytes / 2


def test_the_int8_dialects_agree(stages: list[MeasuredStage]) -> None:
    """Less than the 99.5 % of a trained model: this one learned for seconds, many of its decisions are near ties."""
    notes = stages[-1].record.notes
    assert notes["u8_agrees_with_s8"] >= 0.97
    assert notes["s8f16_agrees_with_s8"] >= 0.97


def test_the_bundle_holds_the_chain_and_runs(bench: Workbench, stages: list[MeasuredStage], tmp_path: Path) -> None:
    packed = bench.pack(stages, tmp_path / "bundle")
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.id == packed.id
    assert set(bundle.dialects) == {"fp32", "s8", "s8f16", "u8"}
    content = bundle.program()
    assert content is not None
    program = read_program(content, "the bundle's program")
    assert program.input_names == tuple(item.tensor for item in bundle.model_io.inputs)
    assert set(bundle.states) == set(stages[-1].record.gate_metrics)
    engine = OnnxRuntimeEngine(bundle.graph("s8"), "s8")
    for inputs, expected in zip(bundle.golden_inputs(), bundle.golden_outputs("s8"), strict=True):
        for name, value in engine.run(inputs).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-4)
        answers = program.exported.module()(*(torch.from_numpy(inputs[name]) for name in program.input_names))
        for name, answer in zip(program.output_names, answers, strict=True):
            reach = np.abs(expected[name]).max()
            # Goldens are this host's: with VNNI of integer kernels, where some values are a level beside.
            np.testing.assert_allclose(answer.detach().numpy(), expected[name], atol=0.06 * reach)


def test_splits_share_no_street_and_redrawing_is_exact(project: Project, bench: Workbench, tmp_path: Path) -> None:
    manifest = read_manifest(bench.dataset)
    ids = [i for members in manifest.splits.values() for i in members.ids]
    assert len(set(ids)) == len(ids) == 120
    again = prepare_dataset(project, tmp_path / "again")
    for first, second in zip(load_split(bench.dataset, "test").inputs, load_split(again, "test").inputs, strict=True):
        assert bool((first == second).all())


def test_a_prepared_dataset_is_used_again_only_if_it_is_the_same(project: Project, bench: Workbench) -> None:
    before = (bench.dataset / "dataset.json").stat().st_mtime_ns
    assert prepare_dataset(project, bench.dataset) == bench.dataset
    assert (bench.dataset / "dataset.json").stat().st_mtime_ns == before


def test_a_checkpoint_rebuilds_the_teacher(
    project: Project, bench: Workbench, stages: list[MeasuredStage], tmp_path: Path
) -> None:
    manifest = CheckpointManifest(project=project, dataset=bench.dataset, record=stages[0].record)
    save_checkpoint(tmp_path / "teacher", manifest, stages[0].artifact.model)
    loaded = load_checkpoint(tmp_path / "teacher")
    assert loaded.manifest == manifest
    example = bench.measurer.example_inputs()
    for ours, theirs in zip(loaded.model(*example), stages[0].artifact.model(*example), strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=1e-5)


def test_a_checkpoint_of_another_architecture_is_refused(
    project: Project, bench: Workbench, stages: list[MeasuredStage], tmp_path: Path
) -> None:
    manifest = CheckpointManifest(project=project, dataset=bench.dataset, record=stages[0].record)
    save_checkpoint(tmp_path / "teacher", manifest, stages[0].artifact.model)
    path = tmp_path / "teacher" / "checkpoint.json"
    content = json.loads(path.read_text())
    content["project"]["teacher"]["fusion"]["channels"] = 64
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="fusion"):
        load_checkpoint(tmp_path / "teacher")
