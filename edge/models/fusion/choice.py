"""Which fusion a model has: the kinds that a project may name, and the module of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

from pydantic import Discriminator, Tag

from edge.models.fusion.channel_mixing import ChannelMixing, ChannelMixingConfig
from edge.models.fusion.cross_attention import CrossAttention, CrossAttentionConfig
from edge.models.fusion.gated_residual import GatedResidual, GatedResidualConfig
from edge.models.fusion.modality_attention import ModalityAttention, ModalityAttentionConfig
from edge.models.fusion.weighted_sum import WeightedSum, WeightedSumConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge.models.fusion.branch_maps import BranchMaps


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


FusionConfig = Annotated[
    Annotated[ChannelMixingConfig, Tag("channel_mixing")]
    | Annotated[WeightedSumConfig, Tag("weighted_sum")]
    | Annotated[ModalityAttentionConfig, Tag("modality_attention")]
    | Annotated[CrossAttentionConfig, Tag("cross_attention")]
    | Annotated[GatedResidualConfig, Tag("gated_residual")],
    Discriminator(_kind),
]


def build_fusion(config: FusionConfig, maps: BranchMaps) -> nn.Module:
    """The fusion of a model, with random weights.

    Args:
        config: Which, and how wide.
        maps: What it will get.

    Raises:
        ConfigError: The configuration names a modality that there is not.
    """
    match config:
        case ChannelMixingConfig():
            return ChannelMixing(maps, config)
        case WeightedSumConfig():
            return WeightedSum(maps, config)
        case ModalityAttentionConfig():
            return ModalityAttention(maps, config)
        case CrossAttentionConfig():
            return CrossAttention(maps, config)
        case GatedResidualConfig():
            return GatedResidual(maps, config)
