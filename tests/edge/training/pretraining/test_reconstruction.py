"""Reconstruction: decoders cover every input exactly, only hidden parts count, and what is guessed gets better."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import Input, SensorInput
from edge.training.pretraining.config import FieldMaskConfig, MaskConfig, PatchMaskConfig, TokenMaskConfig
from edge.training.pretraining.reconstruction import MapDecoder, Reconstruction

ITEMS: dict[str, dict[str, Any]] = {
    "image": {"shape": [1, 3, 13, 18]},
    "lidar_view": {"camera": "camera", "shape": [1, 4, 16, 16]},
    "logmel": {"shape": [1, 1, 20, 15]},
    "tensor": {"shape": [1, 5], "fields": list("abcde"), "mean": [0.0] * 5, "std": [1.0] * 5},
    "series": {"shape": [1, 2, 19], "fields": ["x", "y"], "mean": [0.0] * 2, "std": [1.0] * 2},
    "tokens": {"shape": [1, 9], "tokenizer": "none.json", "vocabulary": 11},
}


class Pooling(nn.Module):
    """Maps as the encoders give them: smaller than a picture, one position a token, one for a table."""

    def __init__(self, feature: str) -> None:
        super().__init__()
        self.feature, self.out_channels = feature, 6
        self.words = nn.Embedding(11, 6)
        self.norm = nn.BatchNorm2d(6)
        self.layer = nn.LazyConv2d(
            6, 3, stride=1 if feature == "tensor" else (1, 4) if feature == "series" else 4, padding=1
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.feature == "tokens":
            words: Tensor = self.words(x)
            return words.transpose(1, 2)[:, :, None]
        shaped = x[:, :, None, None] if x.dim() == 2 else x[:, :, None] if x.dim() == 3 else x
        mapped: Tensor = self.norm(self.layer(shaped))
        return mapped


def item_of(feature: str) -> SensorInput:
    adapter: TypeAdapter[Any] = TypeAdapter(Input)
    found: SensorInput = adapter.validate_python(
        {**ITEMS[feature], "feature": feature, "stream": feature, "tensor": feature}
    )
    return found


def tensor_of(feature: str, count: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (count, *ITEMS[feature]["shape"][1:])
    if feature == "tokens":
        return torch.randint(1, 11, shape, generator=generator)
    return torch.randn(shape, generator=generator)


def built(feature: str, share: float = 0.4) -> tuple[Reconstruction, Pooling]:
    torch.manual_seed(0)
    encoder = Pooling(feature)
    config: MaskConfig = PatchMaskConfig(share=share, patch=(3, 3))
    if feature == "tokens":
        config = TokenMaskConfig(share=share, mask_id=10)
    elif feature in {"tensor", "series"}:
        config = FieldMaskConfig(share=share)
    return Reconstruction(item_of(feature), encoder, config), encoder


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("grid", "size"), [((4, 4), (13, 18)), ((5, 7), (40, 49)), ((1, 1), (1, 1)), ((1, 5), (1, 19))]
)
def test_a_decoder_gives_a_value_for_every_cell(grid: tuple[int, int], size: tuple[int, int]) -> None:
    assert MapDecoder(6, grid, 3, size)(torch.randn(2, 6, *grid)).shape == (2, 3, *size)


def test_a_cell_of_the_map_speaks_for_its_neighbourhood() -> None:
    decoder = MapDecoder(2, (4, 4), 1, (16, 16))
    features = torch.zeros(1, 2, 4, 4)
    quiet = decoder(features)
    features[0, :, 0, 0] = 5.0
    moved = (decoder(features) != quiet)[0, 0]
    assert bool(moved[:4, :4].any()) and not bool(moved[8:].any()) and not bool(moved[:, 8:].any())


@pytest.mark.parametrize("feature", list(ITEMS))
def test_only_what_was_hidden_counts(feature: str) -> None:
    reconstruction, encoder = built(feature)
    encoder.eval()
    tensor, there = tensor_of(feature), torch.ones(8)
    loss = reconstruction(tensor, there, encoder, seeded())
    shown, hidden = reconstruction.hide(tensor, seeded())
    assert torch.equal(shown[~hidden], tensor[~hidden]) and bool(hidden.any())
    guessed = reconstruction.decoder(encoder(shown))
    if feature == "tokens":
        errors = -guessed[:, :, 0].log_softmax(1).gather(1, tensor[:, None])[:, 0]
    else:
        errors = (guessed.reshape(tensor.shape) - tensor) ** 2
    assert torch.allclose(loss, errors[hidden].mean(), rtol=1e-5)


@pytest.mark.parametrize("feature", list(ITEMS))
def test_absent_samples_count_for_nothing(feature: str) -> None:
    reconstruction, encoder = built(feature)
    encoder.eval()
    tensor = tensor_of(feature)
    there = torch.tensor([1.0, 0] * 4)
    loss = reconstruction(tensor, there, encoder, seeded())
    other = tensor.clone()
    other[1::2] = 1
    assert torch.equal(loss, reconstruction(other, there, encoder, seeded()))
    nothing = reconstruction(tensor, torch.zeros(8), encoder, seeded())
    assert float(nothing.detach()) == 0.0
    nothing.backward()


@pytest.mark.parametrize("feature", list(ITEMS))
def test_building_leaves_no_trace_in_the_encoder(feature: str) -> None:
    torch.manual_seed(0)
    encoder = Pooling(feature)
    if feature != "tokens":
        encoder(tensor_of(feature))  # lazy layers take their shape
    before = {
        name: value.clone()
        for name, value in encoder.state_dict().items()
        if feature != "tokens" or "layer" not in name
    }
    Reconstruction(item_of(feature), encoder, TokenMaskConfig(mask_id=10) if feature == "tokens" else None)
    assert encoder.training
    assert all(torch.equal(encoder.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("feature", list(ITEMS))
def test_encoder_and_decoder_learn_to_guess(feature: str) -> None:
    """Readings that follow from one another; the loss falls well below that of guessing the mean."""
    reconstruction, encoder = built(feature, share=0.3)
    generator = seeded(5)
    if feature == "tokens":
        tensor = torch.randint(1, 10, (64, 1), generator=generator).expand(-1, 9).contiguous()
        # One token is seen at its own place only, so that hidden ones are guessed by what is shown there.
    else:
        tensor = torch.randn(64, *[1] * (tensor_of(feature).dim() - 1), generator=generator).expand(
            64, *tensor_of(feature).shape[1:]
        )
    there = torch.ones(64)
    optimizer = torch.optim.Adam([*encoder.parameters(), *reconstruction.parameters()], lr=0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = reconstruction(tensor, there, encoder, generator)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


def test_a_mask_of_another_kind_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"the mask of 'image' hides fields, its tensor is a image; use kind: patches"
    ):
        Reconstruction(item_of("image"), Pooling("image"), FieldMaskConfig())
