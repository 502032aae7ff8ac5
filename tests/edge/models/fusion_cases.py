"""Small fusion models of every kind, with and without a grid, and inputs for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import torch

from edge.models.fusion.branch_maps import BranchMaps
from edge.models.fusion.choice import FusionConfig
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.model_io import ModelIO, PresentInput, TokensInput

if TYPE_CHECKING:
    from torch import Tensor, nn

KINDS = ("channel_mixing", "weighted_sum", "modality_attention", "cross_attention", "gated_residual")
CHANNELS = 16
CAMERA = {"feature": "image", "tensor": "camera", "stream": "camera", "shape": [1, 3, 16, 24]}
LIDAR = {"feature": "lidar_view", "tensor": "lidar", "stream": "lidar", "camera": "camera", "shape": [1, 4, 16, 24]}
AUDIO = {"feature": "logmel", "tensor": "audio", "stream": "audio", "shape": [1, 1, 20, 30]}
FIELDS = {"fields": ["a", "b", "c"], "mean": [0, 0, 0], "std": [1, 1, 1]}
LABS = {"feature": "tensor", "tensor": "labs", "stream": "labs", "shape": [1, 3], **FIELDS}
SHAKES = {"feature": "series", "tensor": "shakes", "stream": "shakes", "shape": [1, 3, 16], **FIELDS}
WORDS = {
    "feature": "tokens",
    "tensor": "words",
    "stream": "words",
    "shape": [1, 6],
    "tokenizer": "words.json",
    "vocabulary": 20,
}
OBJECTS = {
    "decoder": "grid",
    "tensor": "objects",
    "distance_tensor": "distance",
    "camera": "camera",
    "classes": ["a", "b"],
}
LABEL = {"decoder": "softmax", "tensor": "label", "classes": ["a", "b", "c"]}
RESNET = {"embedding": 8, "hidden": [8, 16], "depths": [1, 1]}
ENCODERS: dict[str, dict[str, Any]] = {
    "camera": RESNET,
    "lidar": RESNET,
    "audio": RESNET,
    "labs": {"kind": "table", "hidden": [16, 16]},
    "shakes": {"kind": "series", "hidden": [8, 16], "kernel": 3},
}


def io_of(*inputs: dict[str, Any], outputs: tuple[dict[str, Any], ...] = (LABEL,)) -> ModelIO:
    """With a `present` input for all of the inputs."""
    present = {"feature": "present", "streams": [item["stream"] for item in inputs]}
    return ModelIO.model_validate({"schema": 1, "inputs": [*inputs, present], "outputs": outputs})


VECTOR_IO = io_of(CAMERA, AUDIO, LABS)
GRID_IO = io_of(CAMERA, LIDAR, AUDIO, outputs=(OBJECTS, {**LABEL, "decoder": "events"}))


def fusion_of(kind: str, **changes: Any) -> dict[str, Any]:
    """The config of a small fusion."""
    extras = {"heads": 2} if "attention" in kind else {}
    return {"kind": kind, "channels": CHANNELS, **extras, **changes}


def config_of(io: ModelIO, kind: str, **changes: Any) -> FusionModelConfig:
    """Small encoders for all modalities, and a fusion."""
    encoders = {name: ENCODERS[name] for name in io.modalities}
    return FusionModelConfig.model_validate({"encoders": encoders, "fusion": fusion_of(kind, **changes)})


def build_model(io: ModelIO, kind: str, **changes: Any) -> FusionModel:
    """In eval mode, with batch statistics, biases and placeholders as if trained."""
    torch.manual_seed(0)
    model = FusionModel(config_of(io, kind, **changes), io)
    enliven(model)
    return model.eval()


def enliven(model: nn.Module) -> None:
    """Gives vectors and placeholders values that differ, so that no channel is like another."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith(("running_mean", "bias", "placeholder", "logits", "free")):
            tensor.data.add_(torch.randn(tensor.shape, generator=generator) * 0.3)


def draw_inputs(io: ModelIO, batch: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Positional inputs: every modality drawn, all of them present."""
    generator = torch.Generator().manual_seed(seed)
    found: list[Tensor] = []
    for item in io.inputs:
        if isinstance(item, PresentInput):
            found.append(torch.ones(batch, len(item.streams)))
        elif isinstance(item, TokensInput):
            found.append(torch.randint(1, item.vocabulary, (batch, item.length), generator=generator))
        else:
            found.append(torch.randn(batch, *item.shape[1:], generator=generator))
    return tuple(found)


def draw_states(batch: int, modalities: int, seed: int) -> Tensor:
    """float32 `[batch, modalities]` of 0 and 1, at least one of them 1."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(1, 2**modalities, (batch,), generator=generator)
    return ((codes[:, None] >> torch.arange(modalities)) & 1).float()


def tensor_names(io: ModelIO) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of inputs and outputs, in the model's order."""
    outputs: list[str] = []
    for output in io.outputs:
        outputs += [output.tensor, *([output.distance_tensor] if output.decoder == "grid" else [])]
    return tuple(item.tensor for item in io.inputs), tuple(outputs)


def maps_of(count: int, grid: tuple[int, int] | None = None, size: tuple[int, int] = (1, 1)) -> BranchMaps:
    """Of modalities `m0`, `m1`, ... with widths of their own."""
    names = tuple(f"m{index}" for index in range(count))
    return BranchMaps(names, tuple(6 + index for index in range(count)), (grid or size,) * count, grid)


def kinds_of_choice() -> set[str]:
    """All kinds that a project may name."""
    union = get_args(get_args(FusionConfig)[0])
    return {get_args(member)[1].tag for member in union}
