"""Two kinds of nets that INT8 is hard on, of `transformers` configs: depthwise-separable, and a vision transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import MobileNetV2Config, MobileNetV2Model, ViTConfig, ViTModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FUSED = 64
# The library hands TensorFlow's share of the *old* statistics to torch, where it means those of the last batch alone.
BATCH_NORM_MOMENTUM = 0.1


class PooledBranches(nn.Module):
    """An encoder a modality gives one vector; a missing one's is a learned placeholder; one hidden layer fuses them.

    Args:
        encoders: By modality, in the order of the inputs; `[B, C, H, W]` to `[B, width]`.
        width: Of each encoder's vector.
        classes: Of the one output.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], width: int, classes: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.placeholders = nn.ParameterList(nn.Parameter(torch.zeros(1, width)) for _ in encoders)
        self.fusion = nn.Sequential(nn.Linear(width * len(encoders), FUSED), nn.ReLU())
        self.head = nn.Linear(FUSED, classes)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One float32 `[B, C, H, W]` a modality, then `present` `[B, modalities]`; logits `[B, classes]`."""
        *signals, present = tensors
        vectors = []
        for index, (encoder, placeholder) in enumerate(zip(self.encoders.values(), self.placeholders, strict=True)):
            gate = present[:, index : index + 1]
            vectors.append(encoder(signals[index]) * gate + placeholder * (1 - gate))
        return (self.head(self.fusion(torch.cat(vectors, 1))),)


class DepthwiseEncoder(nn.Module):
    """MobileNetV2 (Sandler et al. 2018), a quarter as wide, with half its expansion: 17 depthwise convolutions, ReLU6.

    Its strides end at 8, for pictures of 28x28. Where modalities are missing, batch norms see zeros beside pictures:
    without the skips of this version, pictures become alike from layer to layer.
    """

    width = 1280

    def __init__(self) -> None:
        super().__init__()
        config = MobileNetV2Config(
            num_channels=1, depth_multiplier=0.25, expand_ratio=3, output_stride=8, tf_padding=False
        )
        self.net = MobileNetV2Model(config)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = BATCH_NORM_MOMENTUM

    def forward(self, signal: Tensor) -> Tensor:
        """`[B, 1, H, W]` to `[B, 1280]`."""
        vector: Tensor = self.net(signal).pooler_output
        return vector


class TransformerEncoder(nn.Module):
    """A small ViT (Dosovitskiy et al. 2021): three layers, the mean of its tokens.

    Args:
        size: Height and width of what it sees.
        patch: Of a token; it need not divide the size, what is over is left out.
    """

    width = 64

    def __init__(self, size: tuple[int, int], patch: tuple[int, int]) -> None:
        super().__init__()
        config = ViTConfig(
            hidden_size=self.width,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=3 * self.width,
            image_size=size,
            patch_size=patch,
            num_channels=1,
        )
        self.net = ViTModel(config, add_pooling_layer=False)

    def forward(self, signal: Tensor) -> Tensor:
        """`[B, 1, H, W]` to `[B, 64]`."""
        vector: Tensor = self.net(signal).last_hidden_state.mean(1)
        return vector


def depthwise_net(sizes: Mapping[str, Sequence[int]], classes: int) -> PooledBranches:
    """A depthwise-separable branch a modality.

    Args:
        sizes: Height and width by modality.
        classes: Of the output.
    """
    return PooledBranches({name: DepthwiseEncoder() for name in sizes}, DepthwiseEncoder.width, classes)


def transformer_net(sizes: Mapping[str, Sequence[int]], classes: int) -> PooledBranches:
    """A transformer branch a modality, with patches of about 8x7; the arguments as of `depthwise_net`."""
    encoders = {name: TransformerEncoder((h, w), (8 if h % 8 == 0 else 7, 7)) for name, (h, w) in sizes.items()}
    return PooledBranches(encoders, TransformerEncoder.width, classes)
