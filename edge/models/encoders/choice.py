"""Which encoder a branch has: the kinds that a project may name, what each reads, and the module of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Tag

from edge.models.encoders.resnet import ResNetEncoder, ResNetEncoderConfig
from edge.models.encoders.series import SeriesEncoder, SeriesEncoderConfig
from edge.models.encoders.spectrogram import SpectrogramEncoder, SpectrogramEncoderConfig
from edge.models.encoders.table import TableEncoder, TableEncoderConfig
from edge.models.encoders.text import TextEncoder, TextEncoderConfig
from edge.models.encoders.vit import ViTEncoder, ViTEncoderConfig
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ImageInput, LidarViewInput, LogMelInput, TokensInput

if TYPE_CHECKING:
    from torch import nn

    from edge.runtime.model_io import SensorInput

# The features of io.yaml that a kind of encoder can read.
READS: dict[str, tuple[str, ...]] = {
    "resnet": ("image", "lidar_view", "logmel"),
    "vit": ("image", "lidar_view", "logmel"),
    "ast": ("logmel",),
    "text": ("tokens",),
    "table": ("tensor",),
    "series": ("series",),
}


def _kind(value: Any) -> str:
    """A mapping without a kind is a ResNet's: projects were written so before there was a choice."""
    found = value.get("kind", "resnet") if isinstance(value, dict) else getattr(value, "kind", "resnet")
    return str(found)


EncoderConfig = Annotated[
    Annotated[ResNetEncoderConfig, Tag("resnet")]
    | Annotated[ViTEncoderConfig, Tag("vit")]
    | Annotated[SpectrogramEncoderConfig, Tag("ast")]
    | Annotated[TextEncoderConfig, Tag("text")]
    | Annotated[TableEncoderConfig, Tag("table")]
    | Annotated[SeriesEncoderConfig, Tag("series")],
    Discriminator(_kind),
]


def build_encoder(config: EncoderConfig, item: SensorInput) -> nn.Module:
    """The encoder of one branch, with random weights or those that its config names.

    Args:
        config: Which, and how wide.
        item: The tensor that it reads.

    Raises:
        ConfigError: It cannot read that, or contradicts the folder of its weights.
        ModelError: That folder does not fit.
    """
    _check_reads(config, item)
    match config:
        case ResNetEncoderConfig():
            return ResNetEncoder(item.shape[1], config)
        case ViTEncoderConfig():
            assert isinstance(item, ImageInput | LidarViewInput | LogMelInput)
            return ViTEncoder(item, config)
        case SpectrogramEncoderConfig():
            assert isinstance(item, LogMelInput)
            return SpectrogramEncoder(item, config)
        case TextEncoderConfig():
            assert isinstance(item, TokensInput)
            return TextEncoder(item, config)
        case TableEncoderConfig():
            return TableEncoder(item.shape[1], config)
        case SeriesEncoderConfig():
            return SeriesEncoder(item.shape[1], config)


def _check_reads(config: EncoderConfig, item: SensorInput) -> None:
    if item.feature in READS[config.kind]:
        return
    fitting = [kind for kind, features in READS.items() if item.feature in features]
    raise ConfigError(
        f"the encoder of '{item.stream}' is a {config.kind}, which does not read the feature '{item.feature}'",
        f"give encoders.{item.stream} the kind {' or '.join(fitting)}",
    )
