"""Audio spectrogram transformer: a log-mel spectrogram to the feature map of its patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt, field_validator
from torch import nn

from edge.models.encoders.pretrained import read_weights, start_from
from edge.models.encoders.transformer import TransformerConfig, TransformerFamily, resolved, transformer_settings
from edge.runtime.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from edge.runtime.model_io import LogMelInput

AST = TransformerFamily(
    model_type="audio-spectrogram-transformer",
    names={
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "mlp": "intermediate_size",
        "activation": "hidden_act",
        "norm_eps": "layer_norm_eps",
        "patch": "patch_size",
        "band_stride": "frequency_stride",
        "frame_stride": "time_stride",
        "qkv_bias": "qkv_bias",
    },
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob"),
    defaults={"patch": 16, "band_stride": 10, "frame_stride": 10, "qkv_bias": True},
)
SPECIAL_TOKENS = 2  # class and distillation


class SpectrogramEncoderConfig(TransformerConfig):
    """An audio spectrogram transformer (Gong et al. 2021; `transformers.ASTModel`).

    Attributes:
        patch: Side of a patch in bands and frames, 16 by default.
        band_stride: Mel bands from one patch to the next, 10 by default: they overlap.
        frame_stride: Frames, alike.
        stride: Sets both; what is saved names the two.
        qkv_bias: Whether queries, keys and values have a bias, as they do by default.
    """

    kind: Literal["ast"] = "ast"
    patch: PositiveInt | None = None
    stride: PositiveInt | None = None
    band_stride: PositiveInt | None = None
    frame_stride: PositiveInt | None = None
    qkv_bias: bool | None = None

    @field_validator("band_stride", "frame_stride", mode="after")
    @classmethod
    def _both_strides(cls, value: int | None, info: Any) -> int | None:
        both = info.data.get("stride")
        if both is not None and value is not None and both != value:
            raise ValueError(f"`stride` says {both}, `{info.field_name}` {value}: say one of them")
        return value


class SpectrogramEncoder(nn.Module):
    """float32 `[B, 1, mels, frames]` to the map of the patches, `[B, hidden, bands, times]`.

    The class and the distillation token take part in attention and are left out of the map.

    Args:
        item: The tensor that it reads.
        config: How wide, or the folder that says so.

    Attributes:
        architecture: The config with every width filled in, which needs no folder.
        origin: Of its weights; None where they started at random.
        config: As given.

    Raises:
        ConfigError: A patch is larger than the spectrogram, or the config contradicts the folder.
        ModelError: The folder is of another architecture, or of spectrograms of another size.
    """

    def __init__(self, item: LogMelInput, config: SpectrogramEncoderConfig) -> None:
        super().__init__()
        from transformers import ASTConfig, ASTModel

        asked = _with_strides(config)
        settings = transformer_settings(asked, AST, ASTConfig, item.stream)
        self.architecture, self.config = resolved(asked, AST, settings), config
        self.out_channels: int = settings.hidden_size
        self.map_shape = _map_shape(item, settings)
        weights = None
        if config.pretrained is not None:
            _refuse_size(item, settings, config)
            weights = read_weights(config.pretrained, ASTModel, settings)
        settings.num_mel_bins, settings.max_length = item.shape[2:]
        self.net = ASTModel(settings)
        self.origin = start_from(self.net, weights)

    def forward(self, x: Tensor) -> Tensor:
        """The patches as a map; the network itself wants `[B, frames, mels]`."""
        frames_first = x.squeeze(1).transpose(1, 2)
        tokens: Tensor = self.net(input_values=frames_first).last_hidden_state[:, SPECIAL_TOKENS:]
        features: Tensor = tokens.transpose(1, 2).unflatten(2, self.map_shape)
        return features


def _with_strides(config: SpectrogramEncoderConfig) -> SpectrogramEncoderConfig:
    if config.stride is None:
        return config
    return config.model_copy(update={"stride": None, "band_stride": config.stride, "frame_stride": config.stride})


def _map_shape(item: LogMelInput, settings: Any) -> tuple[int, int]:
    mels, frames = item.shape[2:]
    patch = settings.patch_size
    if min(mels, frames) < patch:
        raise ConfigError(
            f"a patch of {patch} is larger than the {mels} x {frames} spectrogram of '{item.stream}'",
            "choose a smaller `patch`, or more bands and frames in io.yaml",
        )
    return (mels - patch) // settings.frequency_stride + 1, (frames - patch) // settings.time_stride + 1


def _refuse_size(item: LogMelInput, settings: Any, config: SpectrogramEncoderConfig) -> None:
    """These position embeddings cannot be resized: transformers has no way to, so there is none here."""
    trained = (settings.num_mel_bins, settings.max_length)
    if trained != item.shape[2:]:
        raise ModelError(
            f"the model in {config.pretrained} was trained on {trained[0]} bands x {trained[1]} frames, "
            f"'{item.stream}' has {item.shape[2]} x {item.shape[3]}: its position embeddings do not fit",
            f"give the stream the shape [1, 1, {trained[0]}, {trained[1]}] in io.yaml, or leave `pretrained` out",
        )
