"""The distillation study: who is subtracted from whom, and what is halved."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edge.compress.samples import SampleSet
from edge.models.encoders.resnet import ResNetEncoderConfig
from edge.project import find_project

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SAMPLES = 40


@pytest.fixture(scope="module")
def study() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("distillation")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def result(study: Any) -> dict[str, Any]:
    """Two seeds; in every state the taught student gets four samples more than the student alone."""
    project = find_project(Path("street_demo"))
    wrong = {"teacher": 4, "half-width teacher": 4, "student alone": 14, "taught": 10}
    right = {arm: np.ones((2, 7, SAMPLES), bool) for arm in wrong}
    for arm, count in wrong.items():
        right[arm][:, :, :count] = False
    recordings = tuple(str(i) for i in range(SAMPLES))
    split = SampleSet("test", recordings, recordings, (torch.zeros(SAMPLES, 1),), (torch.zeros(SAMPLES),))
    found: dict[str, Any] = study.summary(study.Study(project, split, split, Path()), right)
    return found


def test_differences_say_what_the_teacher_brings(result: dict[str, Any]) -> None:
    assert result["scores"]["taught"]["all"] == [75.0, 75.0]
    gain = result["differences"]["taught - student alone"]["only_audio"]
    assert gain["estimate"] == pytest.approx(10.0)
    assert 0 < gain["low"] < 10 < gain["high"]
    assert result["differences"]["teacher - half-width teacher"]["all"]["estimate"] == 0
    assert result["differences"]["taught - student alone"]["mean of states"]["estimate"] == pytest.approx(10.0)


def test_the_report_has_every_state_and_says_when_half_the_width_would_do(study: Any, result: dict[str, Any]) -> None:
    lines = study.report(result)
    assert "| taught - student alone | +10.00 [" in "\n".join(lines)
    assert lines[2].count("|") == 10, "name, parameters and seven states"
    assert "could be the teacher" in lines[-1]
    result["differences"]["teacher - half-width teacher"]["mean of states"]["estimate"] = 0.7
    assert "0.70 points worse, at least 0.5: the wider one is the teacher" in study.report(result)[-1]


def test_every_width_is_halved_and_depths_stay(study: Any) -> None:
    whole = find_project(Path("street_demo")).teacher
    half = study.half_width(whole)
    assert half.fusion.channels == 80
    assert {name: e.hidden for name, e in half.encoders.items()} == {
        "camera": (32, 80),
        "lidar": (32, 80),
        "audio": (16, 32),
    }
    assert half.encoders["audio"].embedding == 8
    assert getattr(half.encoders["camera"], "depths", None) == (1, 2)
    assert whole.encoders["camera"] == ResNetEncoderConfig(embedding=48, hidden=(64, 160), depths=(1, 2))


def test_answers_are_counted_state_by_state(study: Any) -> None:
    class Echo:
        """Says class 1 where the second modality is there."""

        modalities = ("image", "sound")

        def __call__(self, image: Tensor, sound: Tensor, present: Tensor) -> tuple[Tensor]:
            return (torch.stack([1 - present[:, 1], present[:, 1]], dim=1),)

    ids = ("a", "b", "c")
    data = SampleSet("test", ids, ids, (torch.zeros(3, 1, 1, 1),) * 2, (torch.tensor([1, 1, 0]),))
    right = study.right_answers(Echo(), data)
    assert right.tolist() == [[True, True, False], [False, False, True], [True, True, False]]
