"""Which fusion a model has: the kinds that a project may name, and the module of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

from pydantic import Discriminator, Tag

from edge.models.fusion.channel_mixing import ChannelMixing, ChannelMixingConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


@runtime_checkable
class WeighingFusion(Protocol):
    """A fusion that can tell how much each modality counted."""

    def shares(self, features: list[Tensor], present: Tensor) -> Tensor:
        """float32 `[B, modalities]` of what each contributed; rows sum to 1, and absent modalities have 0.

        Args:
            features: What `forward` takes.
            present: float32 `[B, modalities]` of 0 and 1.
        """


def _kind(value: Any) -> str:
    """A mapping without a kind mixes channels: projects were written so before there was a choice."""
    found = value.get("kind", "channel_mixing") if isinstance(value, dict) else getattr(value, "kind", "")
    return str(found)


FusionConfig = Annotated[Annotated[ChannelMixingConfig, Tag("channel_mixing")], Discriminator(_kind)]


def build_fusion(config: FusionConfig, inputs: Sequence[int], *, spatial: bool) -> nn.Module:
    """The fusion of a model.

    Args:
        config: Which, and how wide.
        inputs: Channels of each modality's map.
        spatial: Whether the maps share a grid that the outputs need; otherwise only their contents count.
    """
    return ChannelMixing(inputs, config, spatial=spatial)
