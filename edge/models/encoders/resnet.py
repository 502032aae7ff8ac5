"""ResNet: a picture, a lidar view or a log-mel spectrogram to a feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class ResNetEncoderConfig(BaseModel):
    """A ResNet of basic blocks (He et al. 2016; `transformers.ResNetModel`).

    Attributes:
        embedding: Channels of the stem (7x7 convolution, stride 2, then a max-pool of stride 2).
        hidden: Channels of each stage; every stage after the first halves the map.
        depths: Blocks of each stage.
        centred: Take each row's mean over the columns away first: of a spectrogram, what a microphone, a room and a
            voice colour all the time (cepstral mean normalisation, Atal 1974), and with it every steady sound.

    Raises:
        ValueError: There is not one depth a stage.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["resnet"] = "resnet"
    embedding: int = Field(32, ge=8)
    hidden: tuple[PositiveInt, ...] = Field((32, 64), min_length=1)
    depths: tuple[PositiveInt, ...] = (1, 1)
    centred: bool = False

    @model_validator(mode="after")
    def _one_depth_a_stage(self) -> ResNetEncoderConfig:
        if len(self.depths) != len(self.hidden):
            raise ValueError(f"hidden has {len(self.hidden)} stages and depths {len(self.depths)}")
        return self


class ResNetEncoder(nn.Module):
    """Float32 `[B, channels, H, W]` to a feature map `[B, hidden[-1], h, w]`."""

    def __init__(self, channels: int, config: ResNetEncoderConfig) -> None:
        super().__init__()
        from transformers import ResNetConfig, ResNetModel

        self.out_channels, self._centred = config.hidden[-1], config.centred
        self.net = ResNetModel(
            ResNetConfig(
                num_channels=channels,
                embedding_size=config.embedding,
                hidden_sizes=list(config.hidden),
                depths=list(config.depths),
                layer_type="basic",
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """The last stage's map."""
        if self._centred:
            x = x - x.mean(3, keepdim=True)
        features: Tensor = self.net.encoder(self.net.embedder(x)).last_hidden_state
        return features
