"""Series: the last readings of a stream to a feature map along time, by convolutions."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class SeriesEncoderConfig(BaseModel):
    """Convolutions along time, each with a batch norm and a ReLU; the fully convolutional net of Wang et al. 2017.

    Attributes:
        hidden: Channels of each layer; every layer after the first halves the time steps.
        kernel: Steps that a convolution sees; odd, so that it looks back as far as ahead.
        clip: Readings are normalised by `io.yaml` and then held within this many standard deviations, as a table's.

    Raises:
        ValueError: The kernel is even.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["series"]
    hidden: tuple[PositiveInt, ...] = Field((32, 64), min_length=1)
    kernel: int = Field(5, ge=1)
    clip: float = Field(8.0, gt=0)

    @field_validator("kernel")
    @classmethod
    def _is_odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"a kernel of {kernel} steps has no middle; make it {kernel - 1} or {kernel + 1}")
        return kernel


class SeriesEncoder(nn.Module):
    """Float32 `[B, fields, steps]` to `[B, hidden[-1], 1, t]`.

    The convolutions have two dimensions, over a map of height 1: compilers and INT8 kernels take these everywhere,
    one-dimensional ones not.
    """

    def __init__(self, fields: int, config: SeriesEncoderConfig) -> None:
        super().__init__()
        self.clip = config.clip
        self.out_channels = config.hidden[-1]
        widths = (fields, *config.hidden)
        self.net = nn.Sequential(
            *(
                _time_layer(inputs, outputs, config.kernel, stride=2 if index else 1)
                for index, (inputs, outputs) in enumerate(pairwise(widths))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's map; `t` is `steps`, halved and rounded up once for each layer after the first."""
        features: Tensor = self.net(x.clamp(-self.clip, self.clip).unsqueeze(2))
        return features


def _time_layer(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    size, padding = (1, kernel), (0, kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, size, stride=(1, stride), padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
