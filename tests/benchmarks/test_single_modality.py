"""One modality beside the fused model: what its project and samples are, what fails it, and what the table says."""

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
from edge.models.fusion_model import FusionModel
from edge.project import load_project
from edge.training.augmentation.config import ImageAugmentConfig, LogMelAugmentConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = 20


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("single_modality")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def samples(available: torch.Tensor | None = None) -> SampleSet:
    names = tuple(map(str, range(RECORDINGS)))
    inputs = (torch.zeros(RECORDINGS, 1, 28, 28), torch.arange(RECORDINGS * 1960.0).reshape(-1, 1, 40, 49))
    return SampleSet("test", names, names, inputs, (torch.arange(RECORDINGS) % 10,), available)


def counts(**right: float) -> list[RecordingCounts]:
    """Two seeds; so many of ten samples of each recording are right, one more or less in every other one."""
    sway = np.where(np.arange(RECORDINGS) % 2, 0.5, -0.5)
    by_state = {s: np.stack([value + sway, np.full(RECORDINGS, 10.0)], 1) for s, value in right.items()}
    return [RecordingCounts("", by_state)] * 2


def test_a_model_of_its_own_has_the_same_encoder_and_nothing_else(benchmark: Any) -> None:
    project = load_project(ROOT / "examples" / "av_digits" / "project.yaml")
    own = benchmark.alone(project, "audio")
    assert own.io.modalities == ("audio",)
    assert own.teacher.encoders == {"audio": project.teacher.encoders["audio"]}
    assert own.train == project.train.model_copy(update={"modality_dropout": 0.0})
    assert own.augment == {"audio": project.augment["audio"]}
    varied = {"image": ImageAugmentConfig(shift=0.1), "audio": LogMelAugmentConfig(time_mask=0.2, mismatched=0.3)}
    project = project.model_copy(update={"augment": varied})
    assert benchmark.alone(project, "audio").augment == {"audio": LogMelAugmentConfig(time_mask=0.2)}
    model = FusionModel(own.teacher, own.io)
    fused = FusionModel(project.teacher, project.io)
    shapes = {name: p.shape for name, p in fused.get_submodule("branches.audio").named_parameters()}
    assert shapes == {name: p.shape for name, p in model.get_submodule("branches.audio").named_parameters()}
    assert model(torch.zeros(2, 1, 40, 49), torch.ones(2, 1))[0].shape == (2, 10)


def test_samples_that_lack_the_modality_are_left_out(benchmark: Any) -> None:
    available = torch.ones(RECORDINGS, 2)
    available[::2, 1] = 0
    whole, part = benchmark.of_modality(samples(), 1), benchmark.of_modality(samples(available), 1)
    assert len(whole) == RECORDINGS and torch.equal(whole.inputs[0], samples().inputs[1])
    assert part.ids == tuple(map(str, range(1, RECORDINGS, 2))) and part.available is None


def test_the_table_says_what_was_measured(benchmark: Any, tmp_path: Path) -> None:
    project = load_project(ROOT / "examples" / "av_digits" / "project.yaml")
    study = benchmark.Study(project, samples(), samples(), tmp_path)
    found = {"fused": counts(all=9, only_image=7, only_audio=8), "image": counts(all=7.5), "audio": counts(all=7)}
    result = benchmark.summary(study, found)
    gains = {name: row["gain"]["estimate"] for name, row in result["modalities"].items()}
    assert gains == pytest.approx({"image": -5, "audio": 10})
    text = "\n".join(benchmark.report(result))
    assert "All modalities together: 90.00." in text
    assert "| image | 70.00 | 75.00 | -5.00 [-5.00, -5.00] |" in text
