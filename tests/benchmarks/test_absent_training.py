"""Ways to train for what may be missing: what each arm changes, and what the table says of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edge.compress.samples import SampleSet
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.project import load_project, preset_path

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = 20
STATES = ("all", "only_image", "only_audio")


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("absent_training")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_arms_change_how_it_is_trained_and_nothing_else(benchmark: Any) -> None:
    project = load_project(preset_path("street_demo"))
    arms = {arm: benchmark.trained_by(project, arm) for arm in benchmark.ARMS}
    assert arms[benchmark.OWN] is project
    for arm, dropped in ((benchmark.DROPPED, "zeros"), (benchmark.HIDDEN, "hidden")):
        assert (arms[arm].unimodal, arms[arm].train.dropped, arms[arm].train.modality_dropout) == (0, dropped, 0.4)
        back = {"train": project.train, "unimodal": project.unimodal}
        assert arms[arm].model_copy(update=back) == project


def counts(right: float) -> list[RecordingCounts]:
    """Two seeds; so many of ten samples of each recording are right, one more or less in every other one."""
    sway = np.where(np.arange(RECORDINGS) % 2, 0.5, -0.5)
    by_state = {s: np.stack([right + sway, np.full(RECORDINGS, 10.0)], 1) for s in STATES}
    return [RecordingCounts("", by_state)] * 2


def test_gains_are_over_dropout_alone(benchmark: Any, tmp_path: Path) -> None:
    project = load_project(ROOT / "examples" / "av_digits" / "project.yaml")
    names = tuple(map(str, range(RECORDINGS)))
    data = SampleSet("test", names, names, (torch.zeros(RECORDINGS, 1),) * 2, (torch.zeros(RECORDINGS).long(),))
    found = {benchmark.DROPPED: counts(5), benchmark.HIDDEN: counts(6), benchmark.OWN: counts(8)}
    result = benchmark.summary(benchmark.Study(project, data, data, tmp_path), found)
    assert result["gains"][benchmark.OWN]["mean"]["estimate"] == pytest.approx(30)
    text = "\n".join(benchmark.report(result))
    assert "**av-digits** (`modality_dropout: 0`, `dropped: zeros`, `unimodal: 1`): 20 training samples" in text
    assert "| only_audio | 50.0 | 60.0 | 80.0 | +10.00 [" in text
    assert "| mean of the states | 50.0 | 60.0 | 80.0 | +10.00 [" in text
