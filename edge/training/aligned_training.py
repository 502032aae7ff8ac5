"""Training on labels with alignment beside it: labels say what is right, modalities what belongs together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edge.training.alignment import AlignmentLoss

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.fusion_model import FusionModel
    from edge.training.alignment import AlignmentConfig


class AlignedTraining(nn.Module):
    """A fusion model with the projection heads that are trained along with it, and thrown away afterwards.

    Args:
        model: Trained in place.
        config: What is aligned.

    Raises:
        ConfigError: The config does not fit the model's modalities.
    """

    def __init__(self, model: FusionModel, config: AlignmentConfig) -> None:
        super().__init__()
        self.model = model
        channels = {s: int(model.branches[s].out_channels) for s in model.modalities}  # type: ignore[arg-type]
        self.alignment = AlignmentLoss(config, channels)

    def forward(self, *tensors: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """The model's outputs, and the weighted alignment loss of its branches' maps; each encoder runs once."""
        present = tensors[-1]
        features = self.model.branch_features(*tensors)
        maps = dict(zip(self.model.modalities, features, strict=True))
        there = dict(zip(self.model.modalities, present.unbind(1), strict=True))
        aligned = torch.stack(list(self.alignment(maps, there).values())).sum()
        return self.model.answers(self.model.fuse(features, present)), aligned
