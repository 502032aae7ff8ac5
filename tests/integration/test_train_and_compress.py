"""`edge train`, then `edge compress`: what they write, and how they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from edge.compress.stages.record import StageRecord
from edge.report.publish import read_report
from edge.runtime.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

# INT8 is emulated on hosts whose integer kernels saturate, several times slower than it runs.
PATIENCE = 600
pytestmark = [pytest.mark.integration, pytest.mark.timeout(2 * PATIENCE)]


def edge(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def teacher(small_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = edge("train", small_project, "--out", folder / "teacher", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "teacher"


@pytest.fixture(scope="module")
def compressed(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compressed")
    done = edge("compress", teacher, "--out", folder / "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "What each step cost and brought" in done.stdout and "Taken from" not in done.stdout
    return folder / "out"


def test_a_teacher_becomes_a_bundle_with_a_report(compressed: Path) -> None:
    bundle = Bundle.open(compressed / "bundle")
    assert bundle.manifest.calibration_digest
    report = read_report(compressed / "report.json")
    assert [stage.name for stage in report.stages] == ["teacher", "student", "prune", "quantize"]
    assert report.headline is not None and report.headline.size_ratio > 4
    assert report.runtime is not None and report.runtime.fused == report.runtime.anchors > 250
    assert report.machine is not None and report.machine.cores and report.machine.threads["engine"] == 1
    page = (compressed / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    lines = (compressed / "run" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == report.runtime.fused
    assert set(json.loads(lines[0])) >= {"stamp_ns", "state", "ages_ms", "detections", "events", "valid"}


def test_every_stage_is_held_against_the_one_before_in_every_state(compressed: Path) -> None:
    report = read_report(compressed / "report.json")
    for stage in report.stages[1:]:
        assert stage.gate is not None and stage.gate.recordings == 12
        assert {(f.state, f.metric) for f in stage.gate.losses} == {
            (state, metric) for state, metrics in stage.metrics.items() for metric in metrics
        }
        assert all(f.interval is not None and f.interval.low <= f.lost <= f.interval.high for f in stage.gate.losses)
        assert set(stage.lost_since_before) == set(stage.metrics)
    assert report.classes is not None and (report.classes.first, report.classes.last) == ("teacher", "quantize")
    assert {c.name for c in report.classes.outputs["events"].classes} == {"siren", "horn"}
    entry = Bundle.open(compressed / "bundle").manifest.stages[-1]
    assert StageRecord.model_validate(entry.model_dump()).gate == report.stages[-1].gate


def test_the_same_command_again_goes_on_after_the_last_stage(teacher: Path, compressed: Path) -> None:
    before = graphs_of(compressed / "bundle")
    done = edge("compress", teacher, "--out", compressed, cwd=compressed.parent)
    assert done.returncode == 0, done.stderr
    assert "teacher, student, prune, quantize; --fresh does them again" in " ".join(done.stdout.split())
    assert graphs_of(compressed / "bundle") == before


def test_a_bundles_recipe_replays_it(teacher: Path, compressed: Path, tmp_path: Path) -> None:
    recipe = compressed / "bundle" / "recipe.yaml"
    done = edge("compress", teacher, "--recipe", recipe, "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no replay" not in done.stderr
    assert graphs_of(tmp_path / "again" / "bundle") == graphs_of(compressed / "bundle")


def graphs_of(bundle: Path) -> dict[str, str]:
    """Digest of each graph."""
    files = Bundle.open(bundle).manifest.files
    return {name: entry.sha256 for name, entry in files.items() if name.startswith("graph.")}


def test_a_refused_stage_ends_with_3_and_what_came_before_is_packed(teacher: Path, tmp_path: Path) -> None:
    stages = [{"stage": "quantize", "samples": 16, "gate": {"min_shrink": 50}}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"stages": stages}))
    done = edge("compress", teacher, "--recipe", "recipe.yaml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 3
    assert "50.00x is asked" in done.stderr and "Traceback" not in done.stderr
    bundle = Bundle.open(tmp_path / "out" / "bundle")
    assert set(bundle.dialects) == {"fp32"}
    assert [stage.name for stage in bundle.manifest.stages] == ["teacher"]
    report = read_report(tmp_path / "out" / "report.json")
    assert [(stage.name, stage.refused) for stage in report.stages] == [("teacher", False), ("quantize", True)]
    assert report.stages[1].latency_ms is not None
    assert report.headline is None and report.classes is None and report.runtime is not None
    assert any(note.startswith("Refused: stage 'quantize' makes the graph") for note in report.notes)
    assert "quantize: refused" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "bundle",
        "report.html",
        "report.json",
        "run",
        "work",
    ]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("train", "absent.yaml", "--out", "t"), "absent.yaml"),
        (("train", "no_such_preset", "--out", "t"), "street_demo"),
        (("compress", "absent", "--out", "c"), "absent"),
    ],
)
def test_a_missing_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    done = edge(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
