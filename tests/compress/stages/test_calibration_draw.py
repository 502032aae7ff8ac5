"""A quantize stage draws its calibration set as it says: how many, chosen how, in which modality states."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.compress.samples import SampleSet
from edge.compress.stages.handlers import draw_calibration_set
from edge.compress.stages.stage import CompressionContext, QuantizeStage
from edge.runtime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from edge.calibration.dataset import CalibrationSet

COUNT, LOUD = 60, 41


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.see, self.head = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 1)

    def forward(self, image: Tensor, sound: Tensor, present: Tensor) -> Tensor:
        gate = present[:, :1].reshape(-1, 1, 1, 1)
        return torch.as_tensor(
            self.head(torch.relu(self.see(image)) * gate).mean((2, 3)) + sound.mean((1, 2, 3))[:, None]
        )


def draw(split: str = "train", available: Tensor | None = None, **config: Any) -> CalibrationSet:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(COUNT, 2, 8, 8, generator=generator)
    image[LOUD] *= 50
    sound = torch.randn(COUNT, 1, 4, 4, generator=generator)
    ids = tuple(f"s{i}" for i in range(COUNT))
    data = SampleSet(split, ids, ids, (image, sound), (torch.zeros(COUNT),), available)
    model = Net().eval()
    task: Any = SimpleNamespace(modalities=("image", "sound"))
    context = CompressionContext(task, data, model, build_student=lambda: model)
    return draw_calibration_set(QuantizeStage.model_validate({"samples": 12, **config}), model, context)


def test_states_come_in_the_shares_that_are_asked_for() -> None:
    present = draw(complete=0.5, seed=3).tensors["present"]
    assert present.shape == (12, 2)
    assert {tuple(r): int((present == r).all(1).sum()) for r in np.unique(present, axis=0)} == {
        (1, 1): 6, (0, 1): 3, (1, 0): 3,
    }  # fmt: skip


def test_samples_lack_what_they_lack() -> None:
    available = torch.ones(COUNT, 2)
    available[::3, 1] = 0
    drawn = draw(available=available, samples=COUNT, complete=0.5)
    has = available.numpy()[[int(name[1:]) for name in drawn.ids]]
    assert (drawn.tensors["present"] <= has).all()
    assert (drawn.tensors["present"].sum(1) >= 1).all()


def test_a_choice_by_ranges_has_the_sample_that_sets_the_scale() -> None:
    assert f"s{LOUD}" in draw(selection="ranges", complete=1.0).ids
    assert draw(selection="ranges", complete=1.0).digest == draw(selection="ranges", complete=1.0).digest
    seeds = [f"s{LOUD}" in draw(complete=1.0, seed=seed).ids for seed in range(4)]
    assert not all(seeds)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ConfigError, match="61 calibration samples are asked for, the train split has 60"):
        draw(samples=61)
    with pytest.raises(DataError, match="not of the training split"):
        draw("validation")
    with pytest.raises(ValueError, match="selection"):
        draw(selection="best")
