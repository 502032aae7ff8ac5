"""What each of two processes does in `test_ranks.py`, and one process alone to compare with.

Run by torchrun: python -m torch.distributed.run --standalone --nproc-per-node 2 .../two_ranks.py OUT
Each writes OUT/RANK.json and OUT/RANK.safetensors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

from edge.calibration.observers import Observer
from edge.compress.distill.config import BranchConfig, DistillConfig
from edge.compress.distill.teaching import teach
from edge.compress.fitting import FitConfig, fit
from edge.compress.parallel.collectives import (
    first_alone,
    gather_arrays,
    gather_values,
    max_over_ranks,
    spread,
    sum_over_ranks,
)
from edge.compress.parallel.ranks import Ranks, current_ranks, joined_ranks, working_alone
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.observation import observe
from edge.compress.quantize.observers import ActivationObserver
from edge.compress.quantize.placement import PlacementQuantizer
from edge.compress.quantize.pt2e import export_float
from edge.compress.quantize.rank_merging import merge_ranges
from edge.compress.quantize.shared_ranges import SharedRangeFinder
from edge.compress.samples import SampleSet
from edge.runtime.errors import ConfigError, EdgeError, GateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.scoring.task import OutputKind

OBSERVERS: tuple[Observer, ...] = ("minmax", "moving_average", "percentile", "entropy", "mse")
FIT = FitConfig(epochs=3, batch_size=15, learning_rate=0.02, precision="float32", modality_dropout=0.5)
SAMPLES = 64


class Camera(nn.Module):
    """Two branches, batch normalisation over a map and over a vector, two classes.

    The last convolution has several channels and a kernel larger than one: in training its weight lies channels last.
    No bias stands before a normalisation with nothing but a mean between: its gradient is zero but for rounding, which
    AdamW would blow up to a step.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({name: nn.Conv2d(1, width, 3, padding=1) for name in ("image", "sound")})
        self.mix = nn.Sequential(nn.BatchNorm2d(2 * width), nn.ReLU(), nn.Conv2d(2 * width, width, 3, bias=False))
        self.head = nn.Sequential(nn.BatchNorm1d(width, momentum=None), nn.Linear(width, 2))
        self.unused = nn.Linear(2, 2)

    def forward(self, image: Tensor, sound: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        gates = [present[:, i].reshape(-1, 1, 1, 1) for i in range(2)]
        maps = [branch(x) * g for branch, x, g in zip(self.branches.values(), (image, sound), gates, strict=True)]
        return (self.head(self.mix(torch.cat(maps, dim=1)).mean((2, 3))),)


class ClassTask:
    """Cross-entropy over two classes."""

    modalities = ("image", "sound")
    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        return functional.cross_entropy(outputs[0], targets[0])

    def metric(self) -> Any:
        raise NotImplementedError


def samples() -> SampleSet:
    """Noise far from zero, so that careless statistics would show, with a class in its mean."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(SAMPLES) % 2
    inputs = tuple(
        20.0 + classes.reshape(-1, 1, 1, 1) + torch.randn(SAMPLES, 1, 5, 4, generator=generator) for _ in range(2)
    )
    ids = tuple(str(i) for i in range(SAMPLES))
    return SampleSet("train", ids, ids, inputs, (classes,))


def model(width: int, seed: int) -> Camera:
    torch.manual_seed(seed)
    return Camera(width)


def trained(ranks: Ranks) -> tuple[Camera, list[float]]:
    """Rank 1 starts from other weights, which must not matter."""
    student, losses, task = model(4, seed=1 + ranks.rank), [], ClassTask()
    fit(student, samples(), lambda x, t: task.loss(student(*x), t), FIT, lambda _d, _s, loss: losses.append(loss))
    return student, losses


def taught() -> tuple[Camera, list[dict[str, float]]]:
    student, teacher = model(4, seed=1), model(6, seed=2)
    config = DistillConfig(feature_points=("mix",), branches=BranchConfig(points=("branches.*",)))
    history = teach(student, teacher, samples(), ClassTask(), config, FIT)
    return student, list(history.epochs)


def scales(ranks: Ranks) -> dict[str, list[float]]:
    """Of every observed tensor, by each observer; ranks run other samples, in batches of other sizes."""
    own = ranks.rows(SAMPLES - 7)  # an odd number, so that shares differ
    inputs = (*samples().inputs, torch.ones(SAMPLES, 2))
    graph = export_float(model(4, seed=1).eval(), tuple(t[:2] for t in inputs), 32)
    prepared = prepare_pt2e(graph, PlacementQuantizer((), "minmax", 99.0))
    batches = zip(*(t[own].split(10 - 3 * ranks.rank) for t in inputs), strict=True)
    observe(prepared, batches, first=own.start)
    merge_ranges(prepared)
    watched = [m for m in prepared.modules() if isinstance(m, ActivationObserver)]
    return {kind: [_scale(observer, kind) for observer in watched] for kind in OBSERVERS}


def by_sample() -> list[dict[str, Any]]:
    """What is known of each sample of every tensor; later samples are larger, so that ranks see other magnitudes."""
    growing = torch.linspace(0.1, 40, SAMPLES).reshape(-1, 1, 1, 1)
    tensors = [*(t * growing for t in samples().inputs), torch.ones(SAMPLES, 2)]
    finder = SharedRangeFinder(model(4, seed=1).eval(), tuple(t[:2] for t in tensors), QuantizeConfig())
    found, _ = finder.by_sample(zip(*([b.numpy() for b in t.split(5)] for t in tensors), strict=True), SAMPLES)
    return [
        {"peaks": r.peaks.tolist(), "counts": r.counts.tolist(), "edges": r.edges.tolist(), "ceiling": r.ceiling}
        for r in found
    ]


def _scale(observer: ActivationObserver, kind: Observer) -> float:
    observer.observer = kind
    return float(observer.calculate_qparams()[0])


def exchanged(ranks: Ranks) -> dict[str, Any]:
    """Everything that may go between processes."""
    own = np.arange(3 * ranks.rank, dtype=np.int32).reshape(-1, 3)
    return {
        "arrays": [a.tolist() for a in gather_arrays(own)],
        "values": gather_values({"rank": ranks.rank, "words": "x" * 5 * ranks.rank}),
        "sum": sum_over_ranks(torch.tensor([2**60 + ranks.rank])).tolist(),
        "max": max_over_ranks(torch.tensor([ranks.rank, -ranks.rank])).tolist(),
        "spread": spread(range(7), lambda item: [item * item, ranks.rank]),
        "nothing": spread([], lambda item: item),
        "first": first_alone(lambda: [ranks.rank, "of the first"]),
        "alone": first_alone(fitted_alone),
        "refused": refusals(ranks) if ranks.world > 1 else [],
    }


def fitted_alone() -> list[float]:
    """Losses of a training that one process does by itself while the others wait; joined, they would wait for ever."""
    with working_alone():
        assert current_ranks() == Ranks()
        return trained(Ranks())[1]


def refusals(ranks: Ranks) -> list[str]:
    """What a fault on one rank alone says on every rank, after the exit code."""

    def failing(item: int) -> int:
        if item == 3:
            raise ConfigError("item 3 is wrong", "leave it out")
        return item

    def refusing() -> None:
        raise GateError("too much is lost", "train longer")

    said = []
    for attempt in (
        lambda: spread(range(5), failing),
        lambda: first_alone(refusing),
        lambda: gather_arrays(np.zeros(2, np.float32 if ranks.rank else np.float64)),
        lambda: fit(Camera(4), samples(), lambda x, _t: x[0].sum(), FIT.model_copy(update={"batch_size": 3})),
    ):
        try:
            attempt()
        except EdgeError as error:
            said.append(f"{error.exit_code}: {error}")
    return said


def work(ranks: Ranks) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """All of it: plain values, and the weights of what was trained."""
    fitted, losses = trained(ranks)
    student, parts = taught()
    values = {"losses": losses, "parts": parts, "scales": scales(ranks), "exchanged": exchanged(ranks)}
    values["by_sample"] = by_sample()
    weights = {f"fitted.{k}": v for k, v in fitted.state_dict().items()}
    weights |= {f"taught.{k}": v for k, v in student.state_dict().items()}
    return values, {name: tensor.contiguous() for name, tensor in weights.items()}


def main() -> None:
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    with joined_ranks(timeout_s=120) as ranks:
        values, weights = work(ranks)
    (out / f"{ranks.rank}.json").write_text(json.dumps(values), encoding="utf-8")
    save_file(weights, out / f"{ranks.rank}.safetensors")


if __name__ == "__main__":
    main()
