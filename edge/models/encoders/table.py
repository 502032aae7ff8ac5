"""Table: the fields of one reading to a feature vector, by a multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class TableEncoderConfig(BaseModel):
    """Layers of a perceptron, each a linear map, a batch norm and a ReLU.

    Attributes:
        hidden: Width of each layer.
        clip: Fields are normalised by `io.yaml` and then held within this many standard deviations: one INT8 scale
            serves all fields, and a single reading far out would leave the others few of its levels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["table"]
    hidden: tuple[PositiveInt, ...] = Field((64, 64), min_length=1)
    clip: float = Field(8.0, gt=0)


class TableEncoder(nn.Module):
    """Float32 `[B, fields]` to `[B, hidden[-1], 1, 1]`.

    Linear layers are written as 1x1 convolutions: a batch norm folds into those, and INT8 covers all of it.
    """

    def __init__(self, fields: int, config: TableEncoderConfig) -> None:
        super().__init__()
        self.clip = config.clip
        self.out_channels = config.hidden[-1]
        widths = (fields, *config.hidden)
        self.net = nn.Sequential(*(_dense_layer(*pair) for pair in pairwise(widths)))

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's values, as a map of one cell."""
        features: Tensor = self.net(x.clamp(-self.clip, self.clip).unsqueeze(-1).unsqueeze(-1))
        return features


def _dense_layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
