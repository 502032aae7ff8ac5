"""What a sample lacks it lacks in training, in importance by Taylor expansion and in judging by held-back samples."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from edge.compress.distill.config import DistillConfig
from edge.compress.distill.held_back import HeldBackLoss
from edge.compress.fitting import FitConfig, fit
from edge.compress.samples import SampleSet
from edge.compress.stages.handlers import taylor_losses
from edge.compress.stages.stage import CompressionContext

COUNT = 24
STATES = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))


def samples(split: str = "train") -> SampleSet:
    """Input m of sample i is (i + 1) where the sample has the modality; a third has both, a third one of them."""
    available = torch.tensor([STATES[i % 3] for i in range(COUNT)])
    row = torch.arange(1.0, COUNT + 1)
    inputs = tuple((row * available[:, m]).reshape(-1, 1) for m in range(2))
    ids = tuple(str(i) for i in range(COUNT))
    return SampleSet(split, ids, ids, inputs, (torch.zeros(COUNT, dtype=torch.long),), available)


class Watching(nn.Module):
    """Notes what it was shown: the sample, by its number, and what was marked present."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.seen: list[tuple[int, tuple[float, ...]]] = []

    def forward(self, first: Tensor, second: Tensor, present: Tensor) -> tuple[Tensor]:
        shown = torch.cat([first, second], 1)
        assert torch.equal(shown != 0, present != 0), "what is not marked present is zeros"
        for row, there in zip(shown.amax(1).tolist(), present.tolist(), strict=True):
            self.seen.append((int(row) - 1, tuple(there)))
        return (self.head(torch.cat([shown, present], 1) / COUNT),)


def loss(outputs: Any, targets: Any) -> Tensor:
    return nn.functional.cross_entropy(outputs[0], targets[0])


def assert_nothing_is_made_up(model: Watching) -> None:
    """No sample was shown with what it does not have, and each with something."""
    assert model.seen
    for number, there in model.seen:
        has = STATES[number % 3]
        assert all(p <= h for p, h in zip(there, has, strict=True))
        assert sum(there) >= 1


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_training_shows_a_sample_as_it_is(dropout: float) -> None:
    model = Watching()
    config = FitConfig(epochs=2, batch_size=8, modality_dropout=dropout, precision="float32")
    fit(model, samples(), lambda inputs, targets: loss(model(*inputs), targets), config)
    assert_nothing_is_made_up(model)
    assert {number for number, _ in model.seen} == set(range(COUNT))
    whole = [there for number, there in model.seen if number % 3 == 0]
    assert any(sum(there) == 1 for there in whole) == (dropout > 0), "dropout takes what a sample has two of"


def test_importance_is_found_on_samples_as_they_are() -> None:
    model = Watching()
    task: Any = SimpleNamespace(modalities=("a", "b"), loss=loss)
    context = CompressionContext(task, samples(), model, build_student=lambda: model)
    found = list(taylor_losses(FitConfig(batch_size=8, modality_dropout=0.7), context)(model))
    assert len(found) == 3
    assert_nothing_is_made_up(model)


def test_held_back_samples_judge_as_they_are() -> None:
    model = Watching()
    task: Any = SimpleNamespace(modalities=("a", "b"), output_kinds=("categorical",), loss=loss)
    config = FitConfig(modality_dropout=0.5)
    judge = HeldBackLoss(cast("nn.Module", Watching().eval()), samples(), task, DistillConfig(), config)
    assert judge.parts(model)
    assert len(model.seen) == COUNT
    assert_nothing_is_made_up(model)
