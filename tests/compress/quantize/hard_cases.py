"""A depthwise-separable net, trained in seconds on patterns, whose channels are then scaled badly without a change of
its function: the case that INT8 by minimum and maximum loses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES, SIDE = 8, 12


class Separable(nn.Module):
    """Stem, then three blocks of a depthwise and a pointwise convolution."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(*(self._block(width, stride) for stride in (2, 1, 2)))
        self.head = nn.Linear(width, CLASSES)

    @staticmethod
    def _block(width: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return logits


def patterns(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Waves of eight directions and periods at random phases, in noise: `[N, 1, 12, 12]` and their classes."""
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    angles = (labels % 4).float() * torch.pi / 4
    periods = torch.where(labels < 4, 4.0, 6.0)
    rows, columns = torch.meshgrid(torch.arange(SIDE).float(), torch.arange(SIDE).float(), indexing="ij")
    phases = torch.rand(count, generator=generator) * 2 * torch.pi
    along = angles.cos().view(-1, 1, 1) * columns + angles.sin().view(-1, 1, 1) * rows
    waves = torch.sin(2 * torch.pi * along / periods.view(-1, 1, 1) + phases.view(-1, 1, 1))
    return (waves + torch.randn(count, SIDE, SIDE, generator=generator) * 1.5)[:, None], labels


def trained(steps: int = 150) -> Separable:
    """A net that tells the patterns apart."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = Separable()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(steps):
        images, labels = patterns(48, generator)
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def badly_scaled(model: Separable, spread: float, seed: int = 0) -> None:
    """Multiplies channels by factors of up to `spread` either way, and takes them back in the layer that reads them."""
    generator = torch.Generator().manual_seed(seed)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm, reader in zip(norms, layers[1:], strict=True):
            powers = torch.rand(norm.num_features, generator=generator) * 2 - 1
            factors = spread**powers
            norm.weight.mul_(factors)
            norm.bias.mul_(factors)
            depthwise = isinstance(reader, nn.Conv2d) and reader.groups > 1
            shape = (-1, 1, 1, 1) if depthwise else (1, -1, *[1] * (reader.weight.ndim - 2))
            reader.weight.div_(factors.reshape(shape))


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of right answers, in %."""
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in images.split(500)])
    return float((found == labels).float().mean() * 100)
