"""The pretraining study: who is compared with whom, what each arm depends on, and what the page says."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edge.compress.distill.history import LossHistory
from edge.compress.samples import SampleSet
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.project import load_project
from edge.runtime.errors import ConfigError
from edge.training.pretraining.running import PretrainingRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SCRATCH, LONGER, RECONSTRUCTED, ALIGNED = "from scratch", "as long from scratch", "reconstruction", "with alignment"
STATES = ("all", "only_image", "only_audio")
RECORDINGS = 30


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[Any, Any]]:
    """The benchmark and the page that shows it."""
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "docs")]
    try:
        yield importlib.import_module("pretraining"), importlib.import_module("fill")
    finally:
        del sys.path[:2]


@pytest.fixture(scope="module")
def study(modules: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    names = tuple(str(i) for i in range(RECORDINGS))
    split = SampleSet("test", names, names, (torch.zeros(RECORDINGS, 1),) * 2, (torch.zeros(RECORDINGS).long(),))
    project = load_project(ROOT / "examples" / "av_digits" / "few_labels.yaml")
    return modules[0].Study(project, split, split.subset(range(3)), split, tmp_path_factory.mktemp("work"))


def counts(right: float, seed: int) -> RecordingCounts:
    """Ten samples a recording, so many of them right; every other recording has one more or one less."""
    sway = np.where(np.arange(RECORDINGS) % 2, 1.0, -1.0) * (seed + 1) / 2
    return RecordingCounts("", {s: np.stack([right + sway, np.full(RECORDINGS, 10.0)], 1) for s in STATES})


@pytest.fixture(scope="module")
def result(modules: tuple[Any, Any], study: Any) -> dict[str, Any]:
    right = {SCRATCH: 5.0, RECONSTRUCTED: 6.0, ALIGNED: 8.0}
    history = LossHistory(epochs=({"image": 1.0}, {"image": 0.5}))
    record = PretrainingRecord(config={}, samples=30, recordings=30, history=history, seconds=12.0)
    records = {arm: [None if arm == SCRATCH else record] * 2 for arm in right}
    found: dict[str, Any] = modules[0].summary(
        study, {arm: [counts(value, seed) for seed in range(2)] for arm, value in right.items()}, records
    )
    return found


def test_gains_are_those_of_the_first_over_the_second(result: dict[str, Any]) -> None:
    assert result["scores"][ALIGNED]["all"] == pytest.approx([80.0, 80.0])
    gains = {name: row["mean of states"]["estimate"] for name, row in result["differences"].items()}
    assert gains == pytest.approx(
        {
            "with alignment - from scratch": 30,
            "reconstruction - from scratch": 10,
            "with alignment - reconstruction": 20,
        }
    )
    assert (result["labelled_recordings"], result["train_recordings"], result["seeds"]) == (3, 30, 2)
    assert result["pretraining"][SCRATCH] == [] and len(result["pretraining"][ALIGNED]) == 2


def test_the_page_tells_what_was_measured(modules: tuple[Any, Any], result: dict[str, Any]) -> None:
    pages = modules[1]
    text = pages.pretraining_text(result)
    assert "Labels of 3 of 30 recordings" in text and "mean of 2 seed(s)" in text
    assert "| pretrained with alignment | 12 s | 80.00 (80.00 to 80.00) |" in text
    assert "| from scratch | - | 50.00" in text
    assert "| with alignment - from scratch | +30.00 [" in text


def test_arms_differ_in_their_pretraining_alone(modules: tuple[Any, Any], study: Any) -> None:
    arms = {arm: modules[0].pretraining_of(arm, study.project) for arm in (SCRATCH, RECONSTRUCTED, ALIGNED)}
    assert arms[SCRATCH] is None and arms[ALIGNED] == study.project.pretrain
    assert arms[RECONSTRUCTED].alignment is None and arms[RECONSTRUCTED].reconstruction > 0
    assert arms[RECONSTRUCTED].fit == arms[ALIGNED].fit
    assert modules[0].pretraining_of(LONGER, study.project) is None
    seen = {arm: study.epochs(arm) * len(study.labelled) for arm in (SCRATCH, LONGER)}
    assert seen[LONGER] == seen[SCRATCH] + study.project.pretrain.fit.epochs * len(study.train)


def test_another_pretraining_leaves_what_was_trained_from_scratch(study: Any) -> None:
    pretrain = study.project.pretrain.model_copy(update={"reconstruction": 0.25})
    other = replace(study, project=study.project.model_copy(update={"pretrain": pretrain}))
    places = {arm: study._place(arm, 0, "") == other._place(arm, 0, "") for arm in (SCRATCH, RECONSTRUCTED, ALIGNED)}
    assert places == {SCRATCH: True, RECONSTRUCTED: False, ALIGNED: False}
    fewer = replace(study, labelled=study.train.subset(range(2)))
    assert fewer._place(SCRATCH, 0, "") != study._place(SCRATCH, 0, "")


def test_a_project_without_alignment_is_refused(modules: tuple[Any, Any], study: Any) -> None:
    plain = study.project.model_copy(update={"pretrain": None})
    with pytest.raises(ConfigError, match=r"give it pretrain\.alignment"):
        modules[0].open_study(plain, 0.1, None, "test", Path())
