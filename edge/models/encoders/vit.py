"""ViT: a picture, a lidar view or a log-mel spectrogram to the feature map of its patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import PositiveInt
from torch import nn

from edge.models.encoders.pretrained import read_weights, start_from
from edge.models.encoders.transformer import TransformerConfig, TransformerFamily, resolved, transformer_settings
from edge.runtime.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.encoders.pretrained import PretrainedWeights
    from edge.runtime.model_io import ImageInput, LidarViewInput, LogMelInput

VIT = TransformerFamily(
    model_type="vit",
    names={
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "mlp": "intermediate_size",
        "activation": "hidden_act",
        "norm_eps": "layer_norm_eps",
        "patch": "patch_size",
        "qkv_bias": "qkv_bias",
    },
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob"),
    defaults={"patch": 16, "qkv_bias": True},
)
POSITIONS = "embeddings.position_embeddings"


class ViTEncoderConfig(TransformerConfig):
    """A vision transformer (Dosovitskiy et al. 2021; `transformers.ViTModel`).

    Attributes:
        patch: Side of a patch in pixels, 16 by default; 8 gives the cells of a grid output.
        qkv_bias: Whether queries, keys and values have a bias, as they do by default.
    """

    kind: Literal["vit"] = "vit"
    patch: PositiveInt | None = None
    qkv_bias: bool | None = None


class ViTEncoder(nn.Module):
    """float32 `[B, channels, H, W]` to the map of the patches, `[B, hidden, H / patch, W / patch]`.

    The class token takes part in attention and is left out of the map.

    Args:
        item: The tensor that it reads.
        config: How wide, or the folder that says so.

    Attributes:
        architecture: The config with every width filled in, which needs no folder.
        origin: Of its weights; None where they started at random.
        config: As given.

    Raises:
        ConfigError: The patches do not tile the picture, or the config contradicts the folder.
        ModelError: The folder is of another architecture, or of another number of channels.
    """

    def __init__(self, item: ImageInput | LidarViewInput | LogMelInput, config: ViTEncoderConfig) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTModel

        settings = transformer_settings(config, VIT, ViTConfig, item.stream)
        self.architecture, self.config = resolved(config, VIT, settings), config
        self.out_channels: int = settings.hidden_size
        self.map_shape = _tiles(item.shape[2:], settings.patch_size, item.stream)
        weights = None
        if config.pretrained is not None:
            _refuse_channels(item, settings, config)
            weights = read_weights(config.pretrained, ViTModel, settings, add_pooling_layer=False)
            weights = _at_size(weights, settings, item.shape[2:])
        settings.num_channels, settings.image_size = item.shape[1], list(item.shape[2:])
        self.net = ViTModel(settings, add_pooling_layer=False)
        self.origin = start_from(self.net, weights)

    def forward(self, x: Tensor) -> Tensor:
        """The patches as a map."""
        tokens: Tensor = self.net(pixel_values=x).last_hidden_state[:, 1:]
        features: Tensor = tokens.transpose(1, 2).unflatten(2, self.map_shape)
        return features


def _tiles(size: tuple[int, ...], patch: Any, stream: str) -> tuple[int, int]:
    height, width = size
    if height % patch or width % patch:
        raise ConfigError(
            f"patches of {patch} pixels do not tile the {width} x {height} tensor of '{stream}'",
            "choose another `patch`, or another shape in io.yaml",
        )
    return height // patch, width // patch


def _refuse_channels(item: ImageInput | LidarViewInput | LogMelInput, settings: Any, config: ViTEncoderConfig) -> None:
    if settings.num_channels != item.shape[1]:
        raise ModelError(
            f"the model in {config.pretrained} takes {settings.num_channels} channels, '{item.stream}' has "
            f"{item.shape[1]}",
            "leave `pretrained` out of this stream's encoder, or name a model of as many channels",
        )


def _at_size(weights: PretrainedWeights, settings: Any, size: tuple[int, ...]) -> PretrainedWeights:
    """Position embeddings for a picture of another size: once and for all what transformers does at every call."""
    from transformers import ViTModel

    trained = settings.image_size
    trained = (trained, trained) if isinstance(trained, int) else tuple(trained)
    if trained == tuple(size):
        return weights
    if trained[0] != trained[1]:
        raise ModelError(
            f"the model in {weights.origin.folder} was trained on pictures of {trained[1]} x {trained[0]}, which are "
            "not square: its position embeddings cannot be resized",
            f"give the stream the shape [1, {settings.num_channels}, {trained[0]}, {trained[1]}] in io.yaml",
        )
    with torch.no_grad():
        model = ViTModel(settings, add_pooling_layer=False)
        model.load_state_dict(weights.tensors)
        count = (size[0] // settings.patch_size) * (size[1] // settings.patch_size)
        blank = torch.zeros(1, count + 1, settings.hidden_size)
        positions = model.embeddings.interpolate_pos_encoding(blank, *size)
    told = f"position embeddings resized from {trained[1]} x {trained[0]} to {size[1]} x {size[0]} pixels (bicubic)"
    origin = weights.origin.model_copy(update={"changed": (*weights.origin.changed, told)})
    return type(weights)({**weights.tensors, POSITIONS: positions}, origin)
