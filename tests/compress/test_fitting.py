"""The training loop: learns, repeats with its seed, drops modalities, and refuses what it must not train on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.fitting import FitConfig, fit
from edge.compress.samples import SampleSet
from edge.runtime.errors import DataError, ModelError

FLOAT32 = FitConfig(epochs=6, batch_size=16, learning_rate=0.05, precision="float32")


class Linear(nn.Module):
    """One layer over the mean of the only input; notes what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.seen: list[Tensor] = []

    def forward(self, first: Tensor, second: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        self.seen.append(present.clone())
        values = torch.stack([first.flatten(1).mean(1), second.flatten(1).mean(1)], dim=1)
        return (self.layer(values),)


def samples(split: str = "train", count: int = 96) -> SampleSet:
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(count) % 2
    signal = (2.0 * classes - 1).reshape(-1, 1, 1, 1)
    inputs = tuple(signal + 0.3 * torch.randn(count, 1, 2, 2, generator=generator) for _ in range(2))
    ids = tuple(str(i) for i in range(count))
    return SampleSet(split, ids, ids, inputs, (classes,))


def train(config: FitConfig, data: SampleSet | None = None, scale: float = 1.0) -> tuple[Linear, list[float]]:
    torch.manual_seed(0)
    model, losses = Linear(), []

    def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        return scale * functional.cross_entropy(model(*inputs)[0], targets[0])

    fit(model, data or samples(), objective, config, lambda _done, _steps, loss: losses.append(loss))
    return model, losses


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns(precision: str) -> None:
    model, losses = train(FLOAT32.model_copy(update={"precision": precision}))
    assert not model.training
    assert sum(losses[-6:]) < 0.4 * sum(losses[:6])
    data = samples()
    guessed = model(*data.inputs, torch.ones(len(data), 2))[0].argmax(1)
    assert guessed.eq(data.targets[0]).float().mean() > 0.97


def test_progress_counts_every_step() -> None:
    calls: list[tuple[int, int]] = []
    model = Linear()
    fit(
        model,
        samples(count=40),
        lambda inputs, _targets: model(*inputs)[0].square().mean(),
        FLOAT32.model_copy(update={"epochs": 2}),
        lambda done, steps, _loss: calls.append((done, steps)),
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)], "batches that are not full are left out"


def test_a_seed_repeats_the_run_and_another_does_not() -> None:
    first, again = train(FLOAT32)[0], train(FLOAT32)[0]
    other = train(FLOAT32.model_copy(update={"seed": 1}))[0]
    assert torch.equal(first.layer.weight, again.layer.weight)
    assert not torch.equal(first.layer.weight, other.layer.weight)


@pytest.mark.parametrize(("dropout", "expected"), [(0.0, 0.0), (0.6, 0.6 * 2 / 3)])
def test_modality_dropout_is_as_often_as_configured(dropout: float, expected: float) -> None:
    model, _ = train(FLOAT32.model_copy(update={"modality_dropout": dropout, "epochs": 20}))
    incomplete = (torch.cat(model.seen).sum(1) < 2).float().mean()
    assert float(incomplete) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_only_the_training_split_is_trained_on(split: str) -> None:
    with pytest.raises(DataError, match=f"train on the '{split}' split"):
        train(FLOAT32, samples(split))


def test_too_few_samples_for_a_batch_are_refused() -> None:
    with pytest.raises(DataError, match="fill no batch of 16"):
        train(FLOAT32, samples(count=15))


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(ModelError, match="loss became nan at step 1 of"):
        train(FLOAT32, scale=float("nan"))


def test_weights_come_back_in_the_plain_layout() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3))
    inputs = (torch.randn(32, 2, 5, 5),)
    ids = tuple(str(i) for i in range(32))
    data = SampleSet("train", ids, ids, inputs, (torch.zeros(32),))
    fit(model, data, lambda x, _t: model(x[0]).square().mean(), FLOAT32)
    assert all(p.is_contiguous() for p in model.parameters())
