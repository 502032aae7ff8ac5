"""`edge train`, then `edge compress`: what they write, and how they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from edge.report.publish import read_report
from edge.runtime.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def edge(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def teacher(small_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = edge("train", small_project, "--out", folder / "teacher", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "teacher"


def test_a_teacher_becomes_a_bundle_with_a_report(teacher: Path, tmp_path: Path) -> None:
    done = edge("compress", teacher, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    bundle = Bundle.open(tmp_path / "out" / "bundle")
    assert bundle.manifest.calibration_digest
    report = read_report(tmp_path / "out" / "report.json")
    assert [stage.name for stage in report.stages] == ["teacher", "student", "prune", "quantize"]
    assert report.headline is not None and report.headline.size_ratio > 4
    assert report.runtime is not None and report.runtime.fused == report.runtime.anchors > 250
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    lines = (tmp_path / "out" / "run" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == report.runtime.fused
    assert set(json.loads(lines[0])) >= {"stamp_ns", "state", "ages_ms", "detections", "events", "valid"}


def test_a_refused_stage_ends_with_3_and_leaves_no_bundle(teacher: Path, tmp_path: Path) -> None:
    stages = [{"stage": "quantize", "samples": 16, "gate": {"min_shrink": 50}}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"stages": stages}))
    done = edge("compress", teacher, "--recipe", "recipe.yaml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 3
    assert "50.00x is asked" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


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
