"""The ResNet encoder: what `centred` takes away, and that nothing else changes."""

from __future__ import annotations

import torch

from edge.models.encoders.resnet import ResNetEncoder, ResNetEncoderConfig


def encoder(*, centred: bool) -> ResNetEncoder:
    torch.manual_seed(0)
    return ResNetEncoder(1, ResNetEncoderConfig(embedding=8, hidden=(8,), depths=(1,), centred=centred)).eval()


def test_centred_hears_no_constant_colour() -> None:
    sound, colour = torch.randn(3, 1, 20, 33), 4 * torch.randn(3, 1, 20, 1)
    with torch.inference_mode():
        assert torch.allclose(encoder(centred=True)(sound), encoder(centred=True)(sound + colour), atol=1e-4)
        assert not torch.allclose(encoder(centred=False)(sound), encoder(centred=False)(sound + colour), atol=0.1)


def test_centred_has_the_same_weights_and_sees_the_same_of_what_has_no_mean() -> None:
    plain, centred = encoder(centred=False), encoder(centred=True)
    assert plain.state_dict().keys() == centred.state_dict().keys()
    sound = torch.randn(3, 1, 20, 33)
    sound = sound - sound.mean(3, keepdim=True)
    with torch.inference_mode():
        assert torch.allclose(plain(sound), centred(sound), atol=1e-5)


def test_an_absent_sound_stays_nothing() -> None:
    with torch.inference_mode():
        nothing = torch.zeros(1, 1, 20, 33)
        assert torch.equal(encoder(centred=True)(nothing), encoder(centred=False)(nothing))
