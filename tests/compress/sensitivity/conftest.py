"""A camera, lidar and audio classifier, trained for seconds; one layer's input channels differ a thousandfold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from edge.compress.latency_table import LatencyTable, LayerLatency
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.samples import SampleSet, draw_present, mask_modalities
from edge.compress.sensitivity.calibrated_graph import calibrate_graph
from edge.compress.sensitivity.config import SensitivityConfig
from edge.compress.sensitivity.sweep_shards import sweep
from edge.compress.sensitivity.swept_model import SweptModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.compress.scoring.task import OutputKind
    from edge.compress.sensitivity.report import Sensitivity

MODALITIES = ("camera", "lidar", "audio")
CLASSES, SIZE, WIDTH = 4, 8, 8
FRAGILE = "encoders.lidar.2"


class FusionNet(nn.Module):
    """Two convolutions a modality, a 1x1 convolution that mixes them, a residual block, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({name: encoder(c) for name, c in zip(MODALITIES, (3, 4, 1), strict=True)})
        self.mix = nn.Sequential(nn.Conv2d(3 * WIDTH, WIDTH, 1), nn.ReLU())
        self.refine = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)
        self.head = nn.Linear(WIDTH * 4, CLASSES)

    def forward(self, camera: Tensor, lidar: Tensor, audio: Tensor, present: Tensor) -> Tensor:
        maps = [encoder(x) for encoder, x in zip(self.encoders.values(), (camera, lidar, audio), strict=True)]
        maps = [x * present[:, i].reshape(-1, 1, 1, 1) for i, x in enumerate(maps)]
        mixed = self.mix(torch.cat(maps, 1))
        refined = torch.relu(mixed + self.refine(mixed))
        logits: Tensor = self.head(nn.functional.adaptive_avg_pool2d(refined, 2).flatten(1))
        return logits


def encoder(channels: int) -> nn.Sequential:
    first, second = nn.Conv2d(channels, WIDTH, 3, 1, 1), nn.Conv2d(WIDTH, WIDTH, 3, 2, 1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


class Accuracy:
    def __init__(self) -> None:
        self.right = self.count = 0

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        self.right += int((outputs[0].argmax(1) == targets[0]).sum())
        self.count += len(targets[0])

    def result(self) -> dict[str, float]:
        return {"score": 100.0 * self.right / self.count}


class Digits:
    """The task: which of four corners is lit."""

    modalities = MODALITIES
    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        return nn.functional.cross_entropy(outputs[0], targets[0])

    def metric(self) -> Accuracy:
        return Accuracy()


def samples(split: str, count: int, seed: int) -> SampleSet:
    """Each modality sees the lit corner, the more noise the later it stands."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, CLASSES, (count,), generator=generator)
    lit = torch.zeros(count, 1, SIZE, SIZE)
    half = SIZE // 2
    for index, corner in enumerate(classes.tolist()):
        row, column = divmod(corner, 2)
        lit[index, 0, row * half : (row + 1) * half, column * half : (column + 1) * half] = 0.5
    inputs = tuple(
        lit + noise * torch.randn(count, channels, SIZE, SIZE, generator=generator)
        for channels, noise in zip((3, 4, 1), (1.2, 1.6, 1.0), strict=True)
    )
    ids = tuple(f"{split}{i}" for i in range(count))
    return SampleSet(split, ids, ids, inputs, (classes,))


def trained(seed: int = 0) -> FusionNet:
    torch.manual_seed(seed)
    model, train = FusionNet(), samples("train", 1024, 1)
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(8):
        for inputs, targets in train.batches(64, generator):
            present = draw_present(len(targets[0]), 3, 0.5, generator)
            loss = nn.functional.cross_entropy(model(*mask_modalities(inputs, present)), targets[0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def spoil(model: FusionNet, factor: float = 2000.0) -> None:
    """Every second channel between the lidar's convolutions is enlarged by the first and shrunk by the second.

    The function stays the same, and one INT8 step is now larger than most values.
    """
    parameters = dict(model.encoders["lidar"].named_parameters())
    with torch.no_grad():
        parameters["0.weight"][::2] *= factor
        parameters["0.bias"][::2] *= factor
        parameters["2.weight"][:, ::2] /= factor


@dataclass(frozen=True)
class Fragile:
    """The spoiled model, its calibration batches, and what a sweep found."""

    model: FusionNet
    calibration: list[tuple[Tensor, ...]]
    swept: SweptModel
    found: Sensitivity


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def fragile() -> Fragile:
    model = trained()
    spoil(model)
    drawn = samples("train", 64, 1)
    present = draw_present(64, 3, 0.3, torch.Generator().manual_seed(0))
    calibration = [tuple(t.split(32)[i] for t in mask_modalities(drawn.inputs, present)) for i in range(2)]
    graph = calibrate_graph(model, calibration[0], calibration, QuantizeConfig())
    config = SensitivityConfig(samples=64, scored=2, batch_size=240)
    swept = SweptModel(graph, Digits(), samples("validation", 240, 2), config)
    return Fragile(model, calibration, swept, sweep(swept))


def latency_table(layers: Mapping[str, float], source: str = "measured:test-board", **others: float) -> LatencyTable:
    """A table where INT8 takes a quarter and FP16 half of FP32's milliseconds."""
    share = {"int8": 0.25, "fp16": 0.5, "fp32": 1.0}
    rows = [
        LayerLatency.model_validate({"layer": name, "operator": "Conv", "precision": p, "ms": ms * s})
        for name, ms in layers.items()
        for p, s in share.items()
    ]
    return LatencyTable.model_validate(
        {"source": source, "graph_sha256": "0" * 64, "layers": rows, "fixed_ms": 0.1, **others}
    )


@pytest.fixture(scope="session")
def table(fragile: Fragile) -> LatencyTable:
    """Milliseconds by the work of each layer."""
    parameters = dict(fragile.model.named_parameters())
    return latency_table({u.name: parameters[f"{u.name}.weight"].numel() / 1000 for u in fragile.swept.units})
