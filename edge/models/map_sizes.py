"""How large an encoder's map is, asked of the encoder itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.runtime.model_io import TokensInput

if TYPE_CHECKING:
    from torch import nn

    from edge.runtime.model_io import SensorInput


def map_size(encoder: nn.Module, item: SensorInput) -> tuple[int, int]:
    """Height and width of the map that an encoder makes of one input; its state and mode stay as they are.

    Args:
        encoder: Gives `[B, C, h, w]`.
        item: What it reads.
    """
    dtype = torch.int64 if isinstance(item, TokensInput) else torch.float32
    training = encoder.training
    with torch.no_grad():
        found = encoder.eval()(torch.zeros(1, *item.shape[1:], dtype=dtype))
    encoder.train(training)
    return int(found.shape[2]), int(found.shape[3])
