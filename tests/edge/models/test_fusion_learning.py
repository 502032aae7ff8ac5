"""Every fusion learns what only two modalities together can tell, and half of it from either alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from edge.compress.fitting import FitConfig, fit
from edge.compress.samples import SampleSet, mask_modalities
from edge.models.fusion_model import FusionModel
from tests.edge.models.fusion_cases import KINDS, LABEL, LABS, SHAKES, config_of, io_of

IO = io_of(LABS, SHAKES, outputs=({**LABEL, "classes": list("abcd")},))
SAMPLES = 512


def two_bits(split: str, seed: int) -> SampleSet:
    """One bit of the class is a field's sign, the other a level that a series holds."""
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(0, 2, (SAMPLES, 2), generator=generator)
    signs = 2.0 * bits - 1.0
    labs = torch.randn(SAMPLES, 3, generator=generator)
    labs[:, 0] = signs[:, 0] * (labs[:, 0].abs() + 0.5)
    shakes = torch.randn(SAMPLES, 3, 16, generator=generator)
    shakes[:, 1] += 1.5 * signs[:, 1:]
    names = tuple(f"{split}{index}" for index in range(SAMPLES))
    return SampleSet(split, names, names, (labs, shakes), (bits[:, 0] + 2 * bits[:, 1],))


def accuracy(model: FusionModel, data: SampleSet, present: list[float]) -> float:
    states = torch.tensor([present]).expand(len(data), -1)
    with torch.no_grad():
        (logits,) = model(*mask_modalities(data.inputs, states))
    return float((logits.argmax(1) == data.targets[0]).float().mean())


@pytest.mark.parametrize("kind", KINDS)
def test_both_modalities_count(kind: str) -> None:
    torch.manual_seed(0)
    model = FusionModel(config_of(IO, kind), IO)

    def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        return functional.cross_entropy(model(*inputs)[0], targets[0])

    fit(model, two_bits("train", 0), objective, FitConfig(epochs=12, batch_size=64, learning_rate=0.01))
    test = two_bits("test", 1)
    assert accuracy(model, test, [1, 1]) > 0.95
    assert 0.45 < accuracy(model, test, [1, 0]) < 0.6
    assert 0.45 < accuracy(model, test, [0, 1]) < 0.6
