"""A small model of every kind of tensor, and samples that share what the classes are about."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edge.compress.fitting import FitConfig
from edge.compress.samples import SampleSet
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.model_io import ModelIO
from edge.training.pretraining.config import PretrainConfig

SMALL = {"embedding": 8, "hidden": [8], "depths": [1]}
FIT = FitConfig(epochs=2, batch_size=16, modality_dropout=0.0, precision="float32")
CLASSES = ["a", "b", "c"]
INPUTS: dict[str, dict[str, Any]] = {
    "camera": {"feature": "image", "shape": [1, 2, 16, 20]},
    "sound": {"feature": "logmel", "shape": [1, 1, 16, 21]},
}
OUTPUT = {"decoder": "softmax", "tensor": "class", "classes": CLASSES}


def small_io(*streams: str) -> ModelIO:
    """Inputs of those streams, all by default, `present`, and one class of three."""
    chosen = streams or tuple(INPUTS)
    inputs = [{**INPUTS[s], "stream": s, "tensor": s} for s in chosen]
    present = {"feature": "present", "streams": list(chosen)}
    return ModelIO.model_validate({"schema": 1, "inputs": [*inputs, present], "outputs": [OUTPUT]})


def small_widths(*streams: str) -> FusionModelConfig:
    """Encoders of eight channels."""
    return FusionModelConfig.model_validate(
        {"encoders": dict.fromkeys(streams or tuple(INPUTS), SMALL), "fusion": {"channels": 8}}
    )


def small_model(seed: int = 0, *streams: str) -> FusionModel:
    """Drawn by a seed."""
    torch.manual_seed(seed)
    return FusionModel(small_widths(*streams), small_io(*streams))


def small_samples(count: int = 64, seed: int = 0, split: str = "train") -> SampleSet:
    """Each class has a pattern in both modalities, under noise."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.Generator().manual_seed(99)
    classes = torch.arange(count) % len(CLASSES)
    inputs: list[Tensor] = []
    for item in INPUTS.values():
        pattern = torch.randn(len(CLASSES), *item["shape"][1:], generator=patterns)
        noise = torch.randn(count, *item["shape"][1:], generator=generator)
        inputs.append(pattern[classes] + 0.5 * noise)
    ids = tuple(f"{split}-{i}" for i in range(count))
    return SampleSet(split, ids, tuple(f"{split}-{i // 2}" for i in range(count)), tuple(inputs), (classes,))


def small_config(**changes: Any) -> PretrainConfig:
    """Two short epochs."""
    return PretrainConfig.model_validate({"fit": FIT, "augment": False, **changes})
