"""What structured pruning brings: MACs and one-thread ONNX Runtime latency, with aligned widths and without.

Run: python benchmarks/pruning.py [--rounds 60] [--ratio 0.25 ...] [--macs-ratio 0.5 ...] [--align 8 ...]
    [--latency-ratio 0.6 ...]
Three ResNet branches meet in a concatenation, as in a fusion model. Each pruned graph is timed against the
original in turn: the ratio is its time over the original's. Torch-Pruning (pip install torch-pruning) runs
beside it where it is installed, uniformly and by magnitude. What score is left at the same latency is the matter of
pruning_equal_latency.py.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from edge.compress.export import export_onnx
from edge.compress.mac_count import macs
from edge.compress.prune.config import LatencyTarget
from edge.compress.prune.slimming import PruneConfig, apply, plan
from edge.runtime.errors import EdgeError
from edge.runtime.statistics import compare

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("camera", "lidar", "audio", "present")
SHAPES = ((1, 3, 96, 320), (1, 4, 64, 512), (1, 1, 64, 96), (1, 3))
SEED = 0


class ThreeBranches(nn.Module):
    """Camera, lidar and audio encoders, pooled to one grid, placeholders for the missing, two heads."""

    def __init__(self, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_encoder(channels, hidden) for channels in (3, 4, 1))
        self.placeholders = nn.ParameterList(nn.Parameter(torch.zeros(1, hidden[-1], 1, 1)) for _ in range(3))
        width = 2 * hidden[-1]
        mix = nn.Conv2d(3 * hidden[-1], width, 1, bias=False)
        spread = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.mix = nn.Sequential(mix, nn.BatchNorm2d(width), nn.ReLU())
        self.spread = nn.Sequential(spread, nn.BatchNorm2d(width), nn.ReLU())
        self.grid, self.events = nn.Conv2d(width, 5, 1), nn.Linear(width, 4)

    def forward(self, camera: Tensor, lidar: Tensor, audio: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 `[B, C, H, W]` each, `present` `[B, 3]`."""
        signals = zip(self.encoders, (camera, lidar, audio), self.placeholders, strict=True)
        maps = []
        for index, (encoder, signal, placeholder) in enumerate(signals):
            features = encoder(signal).last_hidden_state
            features = nn.functional.adaptive_avg_pool2d(features, (6, 20))
            gate = present[:, index].reshape(-1, 1, 1, 1)
            maps.append(features * gate + placeholder * (1 - gate))
        fused = self.spread(self.mix(torch.cat(maps, dim=1)))
        return self.grid(fused), self.events(fused.mean((2, 3)))


def _encoder(channels: int, hidden: tuple[int, ...]) -> nn.Module:
    config = ResNetConfig(
        num_channels=channels,
        embedding_size=hidden[0],
        hidden_sizes=list(hidden),
        depths=[1] * len(hidden),
        layer_type="basic",
    )
    encoder: nn.Module = ResNetModel(config)
    return encoder


def main() -> None:
    """Prints one line per way of pruning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--ratio", type=float, action="append")
    parser.add_argument("--macs-ratio", type=float, action="append")
    parser.add_argument("--latency-ratio", type=float, action="append", default=[])
    parser.add_argument("--align", type=int, action="append")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = ThreeBranches((32, 64, 128)).eval()
    inputs = example_inputs()
    print(f"{macs(model, inputs) / 1e6:.0f} M MACs, {parameters(model) / 1e6:.2f} M parameters")
    print(f"{'':46}{'MACs':>7}{'params':>8}{'latency':>9}   95 % interval, widths not on 8")
    baseline = runner(model, inputs)
    ratios, shares = arguments.ratio or [0.25, 0.3, 0.5], arguments.macs_ratio or [0.5]
    ways = candidates(ratios, shares, arguments.align or [8, 16, 1])
    for share in arguments.latency_ratio:
        ways[f"edge, to {share:g} of the measured latency, align 8"] = to_latency(share)
    for name, prune in ways.items():
        print(f"{name:46}{line(model, prune, inputs, baseline, arguments.rounds)}", flush=True)


def example_inputs() -> tuple[Tensor, ...]:
    """One sample with everything present."""
    generator = torch.Generator().manual_seed(SEED)
    signals = (torch.randn(shape, generator=generator) for shape in SHAPES[:3])
    return (*signals, torch.ones(SHAPES[3]))


def candidates(
    ratios: list[float], macs_ratios: list[float], alignments: list[int]
) -> dict[str, Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]]:
    """Every way of pruning by its label."""
    ways: dict[str, Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]] = {}
    for align in alignments:
        for ratio in ratios:
            config = PruneConfig(ratio=ratio, align=align, importance="norm")
            ways[f"edge, {ratio:g} of each group, align {align}"] = ours(config)
        for share in macs_ratios:
            config = PruneConfig(macs_ratio=share, align=align, importance="norm")
            ways[f"edge, to {share:g} of the MACs, align {align}"] = ours(config)
    if torch_pruning() is None:
        print("Torch-Pruning is not installed: left out")
        return ways
    for align in alignments:
        for ratio in ratios:
            ways[f"Torch-Pruning, {ratio:g} of each, round_to {align}"] = theirs(ratio, align)
    return ways


def torch_pruning() -> Any:
    """The module, None where it is not installed."""
    try:
        return importlib.import_module("torch_pruning")
    except ImportError:
        return None


def ours(config: PruneConfig) -> Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]:
    """Pruning with this project."""
    return lambda model, inputs: apply(model, plan(model, inputs, config))


def to_latency(share: float) -> Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]:
    """Pruning with this project until the measured latency, not the MACs, is small enough."""
    return ours(PruneConfig(latency=LatencyTarget(ratio=share), importance="norm"))


def theirs(ratio: float, align: int) -> Callable[[nn.Module, tuple[Tensor, ...]], nn.Module]:
    """Pruning with Torch-Pruning, told of the heads and of the placeholders."""

    def prune(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
        tp = torch_pruning()
        slim = copy.deepcopy(model)
        pruner = tp.pruner.BasePruner(
            slim,
            inputs,
            importance=tp.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            round_to=align,
            ignored_layers=[slim.get_submodule("grid"), slim.get_submodule("events")],
            unwrapped_parameters=[(p, 1) for n, p in slim.named_parameters() if n.startswith("placeholders")],
        )
        pruner.step()
        return slim

    return prune


def line(
    model: nn.Module,
    prune: Callable[[nn.Module, tuple[Tensor, ...]], nn.Module],
    inputs: tuple[Tensor, ...],
    baseline: Callable[[], object],
    rounds: int,
) -> str:
    """Prunes, exports and times; a failure is a line too."""
    try:
        slim = prune(model, inputs)
        share = macs(slim, inputs) / macs(model, inputs)
        run = runner(slim, inputs)
    except (EdgeError, RuntimeError, ValueError, AttributeError, KeyError) as error:
        return f"  failed: {str(error).splitlines()[0][:90]}"
    result = compare(baseline, run, rounds=rounds)
    low, high = result.interval
    return (
        f"{share:7.3f}{parameters(slim) / parameters(model):8.3f}{result.ratio:9.3f}   {low:.3f}..{high:.3f}"
        f"   {odd_widths(slim)}"
    )


def parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters())


def odd_widths(model: nn.Module) -> str:
    """How many convolutions make a number of channels that is no multiple of 8; heads do not count."""
    widths = [m.out_channels for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and n != "grid"]
    odd = sum(math.remainder(width, 8) != 0 for width in widths)
    return f"{odd} of {len(widths)}"


def runner(model: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], object]:
    """One inference of the exported graph on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = export_onnx(model, inputs, NAMES, ("grid", "events")).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feed = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in zip(NAMES, inputs, strict=True)}
    return lambda: session.run(None, feed)


if __name__ == "__main__":
    main()
