"""The score that is left at the same measured latency: pruning to a latency target, beside Torch-Pruning.

Run: python benchmarks/pruning_equal_latency.py [--share 0.6] [--seeds 3] [--steps 200] [--fine-tune 60]
A small net of two sensors (residual add, concatenation) is trained on synthetic patterns. Both sides rank channels by
Taylor importance on the same batches, cut down to multiples of 8, may take 80 % of a layer, and are tuned on the same
batches. Torch-Pruning (`make bench-compress-peers`) knows no latency: its ratio is raised until its graph, timed
against the unpruned one, holds the target. At the end the three graphs are timed in turn.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent / "compression"))
from peer_venv import PeerMissingError
from torch_pruning_side import TorchPruningRun

from edge.compress.mac_count import macs
from edge.compress.prune.config import LatencyTarget
from edge.compress.prune.latency_plan import timed_graph
from edge.compress.prune.latency_source import MeasuredLatency
from edge.compress.prune.slimming import PruneConfig, apply, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Batch = tuple[tuple[Tensor, Tensor], Tensor]

CLASSES, SIZE, BATCH = 10, 32, 32
TAYLOR_BATCHES = 8
ALIGN, MOST = 8, 0.8
NOISE = 6.0  # standard deviations of a pattern


class TwoSensors(nn.Module):
    """Image and depth, each through strided convolutions; they meet in a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.inner, self.outer = _layer(3, 48, 2), _layer(48, 48, 1), _layer(48, 48, 1)
        self.deep = _layer(48, 96, 2)
        self.depth, self.depth_deep = _layer(1, 32, 2), _layer(32, 64, 2)
        self.mix, self.head = _layer(160, 96, 1), nn.Linear(96, CLASSES)

    def forward(self, image: Tensor, depth: Tensor) -> Any:
        """Float32 `[B, 3, 32, 32]` and `[B, 1, 32, 32]` to scores `[B, 10]`."""
        x = self.image(image)
        x = self.deep(x + self.outer(self.inner(x)))
        return self.head(self.mix(torch.cat([x, self.depth_deep(self.depth(depth))], 1)).mean((2, 3)))


def _layer(inputs: int, outputs: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


@dataclass(frozen=True)
class Patterns:
    """Classes are smooth patterns in both sensors, moved and buried in noise."""

    image: Tensor
    depth: Tensor

    @classmethod
    def drawn(cls, seed: int) -> Patterns:
        """Patterns of a seed."""
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.randn(CLASSES, 4, 6, 6, generator=generator)
        smooth = functional.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic")
        return cls(smooth[:, :3], smooth[:, 3:])

    def batches(self, count: int, seed: int, size: int = BATCH) -> Iterator[Batch]:
        """Samples that nobody has seen before."""
        generator = torch.Generator().manual_seed(seed)
        for _ in range(count):
            classes = torch.randint(CLASSES, (size,), generator=generator)
            shifts = torch.randint(-6, 7, (2,), generator=generator).tolist()
            moved = (torch.roll(x[classes], shifts, (2, 3)) for x in (self.image, self.depth))
            noisy = tuple(x + NOISE * torch.randn(x.shape, generator=generator) for x in moved)
            yield (noisy[0], noisy[1]), classes


def trained(model: nn.Module, batches: Iterator[Batch], rate: float) -> nn.Module:
    """A copy after one pass, the rate falling to nothing in a half cosine."""
    model = copy.deepcopy(model).train()
    drawn = list(batches)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(drawn))
    for inputs, classes in drawn:
        optimizer.zero_grad()
        functional.cross_entropy(model(*inputs), classes).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def score(model: nn.Module, patterns: Patterns) -> float:
    """Per cent right of 2,000 samples."""
    with torch.no_grad():
        right = [model(*inputs).argmax(1) == classes for inputs, classes in patterns.batches(20, 99, 100)]
    return 100 * float(torch.cat(right).float().mean())


def ours(model: nn.Module, patterns: Patterns, share: float, seed: int) -> nn.Module:
    """To a latency target of this machine."""
    target, losses = LatencyTarget(ratio=share), partial(_losses, patterns, seed)
    chosen = plan(model, _example(), PruneConfig(latency=target, align=ALIGN, max_ratio=MOST), losses=losses)
    print(f"    edge: {chosen.latency}", flush=True)
    return apply(model, chosen)


def theirs(model: nn.Module, patterns: Patterns, share: float, seed: int, everywhere: bool) -> nn.Module | None:
    """Torch-Pruning at the smallest ratio that holds the target; None where none of those tried does."""
    run = TorchPruningRun(
        example=_example(),
        losses=partial(_losses, patterns, seed),
        outputs=lambda candidate: [candidate.get_submodule("head")],
        align=ALIGN,
        max_ratio=MOST,
        everywhere=everywhere,
    )
    return run.to_latency(model, share)


def _losses(patterns: Patterns, seed: int, candidate: nn.Module) -> Iterator[Tensor]:
    """Of the batches that both sides rank channels by."""
    for inputs, classes in patterns.batches(TAYLOR_BATCHES, seed):
        yield functional.cross_entropy(candidate(*inputs), classes)


def _example() -> tuple[Tensor, Tensor]:
    return torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE)


def main() -> None:
    """One line for each side and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--fine-tune", type=int, default=60)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for seed in range(arguments.seeds):
        torch.manual_seed(seed)
        patterns = Patterns.drawn(seed)
        model = trained(TwoSensors(), patterns.batches(arguments.steps, 1000 + seed), 3e-3)
        print(f"seed {seed}: unpruned {score(model, patterns):.2f} %", flush=True)
        sides: dict[str, Callable[[], nn.Module | None]] = {
            "edge": partial(ours, model, patterns, arguments.share, seed),
            "Torch-Pruning, uniform": partial(theirs, model, patterns, arguments.share, seed, False),
            "Torch-Pruning, global": partial(theirs, model, patterns, arguments.share, seed, True),
        }
        for name, prune in sides.items():
            print(f"  {name:24}{line(model, prune, patterns, arguments, seed)}", flush=True)


def line(
    model: nn.Module,
    prune: Callable[[], nn.Module | None],
    patterns: Patterns,
    arguments: argparse.Namespace,
    seed: int,
) -> str:
    """Prunes, times against the unpruned graph, tunes and scores."""
    try:
        slim = prune()
    except PeerMissingError:
        return "not installed: left out"
    if slim is None:
        return "no ratio holds the target"
    found = MeasuredLatency().share(timed_graph(model, _example()), timed_graph(slim, _example()), arguments.share)
    tuned = trained(slim, patterns.batches(arguments.fine_tune, 5000 + seed), 1e-3)
    low, high = found.interval
    share = macs(slim, _example()) / macs(model, _example())
    return (
        f"latency {found.ratio:.3f} ({low:.3f}..{high:.3f})  MACs {share:.3f}"
        f"  {score(slim, patterns):6.2f} % -> {score(tuned, patterns):6.2f} % tuned"
        f"   widths {' '.join(str(w) for w in _widths(slim))}"
    )


def _widths(model: nn.Module) -> list[int]:
    return [int(np.int64(m.out_channels)) for m in model.modules() if isinstance(m, nn.Conv2d)]


if __name__ == "__main__":
    main()
