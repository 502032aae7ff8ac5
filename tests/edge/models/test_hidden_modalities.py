"""What dropout hides instead of zeroing: encoders count whole samples, and no answer changes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edge.compress.samples import mask_modalities
from edge.models.fusion_model import FusionModel
from tests.edge.models.fusion_cases import KINDS, LABEL, LABS, SHAKES, config_of, io_of

IO = io_of(LABS, SHAKES, outputs=({**LABEL, "classes": list("abcd")},))
PRESENT = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).repeat(4, 1)


def drawn() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 3 + torch.randn(16, 3, generator=generator), 3 + torch.randn(16, 3, 16, generator=generator)


def fresh(kind: str) -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(config_of(IO, kind), IO)


def statistics(kind: str, *tensors: Tensor) -> list[Tensor]:
    """Of the encoders' batch normalisations after a step in training mode."""
    model = fresh(kind).train()
    model(*tensors)
    layers = [m for branch in model.branches.values() for m in branch.modules() if isinstance(m, nn.BatchNorm2d)]
    return [layer.running_mean for layer in layers if layer.running_mean is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_batch_statistics_are_those_of_real_samples_alone(kind: str) -> None:
    whole = statistics(kind, *drawn(), torch.ones(16, 2))
    hidden = statistics(kind, *drawn(), PRESENT)
    zeroed = statistics(kind, *mask_modalities(drawn(), PRESENT))
    assert len(whole) > 2 and all(torch.equal(a, b) for a, b in zip(whole, hidden, strict=True))
    assert not torch.allclose(whole[0], zeroed[0])


@pytest.mark.parametrize("kind", KINDS)
def test_once_trained_zeros_and_hidden_tensors_are_answered_alike(kind: str) -> None:
    model = fresh(kind).eval()
    with torch.no_grad():
        (hidden,), (zeroed,) = model(*drawn(), PRESENT), model(*mask_modalities(drawn(), PRESENT))
    torch.testing.assert_close(hidden, zeroed)
