"""Nets with layers of every kind, of which some can be sparse, and weights that look trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EXAMPLE = (torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(1)), torch.ones(4, 1))
NAMES = (("image", "present"), ("classes",))


class ManyKinds(nn.Module):
    """Convolutions plain, grouped and transposed, attention, linear layers, one of them on a computed weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(32, 32, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.grouped = nn.Conv2d(32, 32, 1, groups=4)
        self.up = nn.ConvTranspose2d(32, 32, 2, stride=2)
        self.mix = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(32, 32))
        self.narrow = nn.Linear(32, 20)
        self.head = nn.Linear(20, 5)

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor]:
        features = self.up(self.grouped(self.body(self.stem(image))).relu()) * present[:, 0].reshape(-1, 1, 1, 1)
        tokens = self.normed(self.mix(features.flatten(2).transpose(1, 2))).relu()
        return (self.head(self.narrow(tokens.mean(1)).relu()),)


def many_kinds() -> nn.Module:
    """Its batch norms have statistics of their own, so that folding them changes weights."""
    torch.manual_seed(0)
    net = ManyKinds()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.running_mean)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.2, 3)  # type: ignore[arg-type]
    return net.eval()
