"""Which encoder a branch has: the kinds that a project may name, and the module of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Tag

from edge.models.encoders.resnet import ResNetEncoder, ResNetEncoderConfig

if TYPE_CHECKING:
    from torch import nn

    from edge.runtime.model_io import SensorInput


def _kind(value: Any) -> str:
    """A mapping without a kind is a ResNet's: projects were written so before there was a choice."""
    found = value.get("kind", "resnet") if isinstance(value, dict) else getattr(value, "kind", "resnet")
    return str(found)


EncoderConfig = Annotated[Annotated[ResNetEncoderConfig, Tag("resnet")], Discriminator(_kind)]


def build_encoder(config: EncoderConfig, item: SensorInput) -> nn.Module:
    """The encoder of one branch, with random weights or those that its config names.

    Args:
        config: Which, and how wide.
        item: The tensor that it reads.
    """
    return ResNetEncoder(item.shape[1], config)
