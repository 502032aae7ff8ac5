"""Small models of the kinds that people bring as ONNX files, taught for a moment so that they decide something."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, ViTConfig, ViTForImageClassification

from edge.calibration.dataset import CalibrationSet
from edge.compress.onnx_model.input_samples import InputSamples
from edge.compress.quantize.tracing import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CLASSES, SIDE, TOKENS, WORDS = 5, 32, 12, 60
Exporter = Literal["dynamo", "legacy"]
Arrays = dict[str, "NDArray[Any]"]


def block(inputs: int, outputs: int, kernel: int = 3, groups: int = 1, act: nn.Module | None = None) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), act or nn.ReLU6())


class MixedNet(nn.Module):
    """Residual addition, concatenation, depthwise and transposed convolutions, clips and Swish."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise, self.pointwise = block(16, 16, groups=16), block(16, 16, 1, act=nn.Identity())
        self.side = block(16, 16, act=nn.SiLU())
        self.up = nn.ConvTranspose2d(32, 8, 2, 2)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        y = torch.relu(x + self.pointwise(self.depthwise(x)))
        z = torch.cat([y, self.side(y)], 1)
        logits: Tensor = self.head(torch.relu(self.up(z)).mean((2, 3)))
        return logits


class PlainNet(nn.Module):
    """Convolutions, pooling and linear layers as in torchvision's classifiers, two residual stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.first = nn.Sequential(block(16, 16, act=nn.ReLU()), block(16, 16, act=nn.Identity()))
        self.down = nn.Sequential(nn.Conv2d(16, 32, 1, 2, bias=False), nn.BatchNorm2d(32))
        self.second = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), block(32, 32, act=nn.Identity()))
        self.average, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(32, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = self.pool(self.stem(image))
        x = torch.relu(x + self.first(x))
        x = torch.relu(self.down(x) + self.second(x))
        logits: Tensor = self.head(torch.flatten(self.average(x), 1))
        return logits


class Logits(nn.Module):
    """A model of transformers that gives its logits, as exporters want it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(*inputs).logits
        return logits


def tiny_vit() -> nn.Module:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return Logits(ViTForImageClassification(ViTConfig(**sizes, image_size=SIDE, patch_size=8, num_labels=CLASSES)))


def tiny_bert() -> nn.Module:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return Logits(BertForSequenceClassification(BertConfig(**sizes, vocab_size=WORDS, num_labels=CLASSES)))


def images(count: int, seed: int) -> tuple[Arrays, NDArray[np.int64]]:
    """Noise with a bright block, of another place and colour for each class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    pixels = rng.normal(0, 0.3, (count, 3, SIDE, SIDE)).astype(np.float32)
    for row, label in enumerate(labels):
        pixels[row, label % 3, 6 * label : 6 * label + 8, 4 : 4 + 5 * (label + 1)] += 1.5
    return {"image": pixels}, labels


def sentences(count: int, seed: int) -> tuple[Arrays, NDArray[np.int64]]:
    """Words of which most are of the class's own tenth of the vocabulary, padded to one length."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    lengths = rng.integers(5, TOKENS + 1, count)
    words = np.where(rng.random((count, TOKENS)) < 0.7, labels[:, None] * 10 + rng.integers(0, 10, (count, TOKENS)), 55)
    mask = (np.arange(TOKENS) < lengths[:, None]).astype(np.int64)
    return {"input_ids": words * mask, "attention_mask": mask}, labels


@dataclass(frozen=True)
class Case:
    """A model, and how samples for it are drawn."""

    build: Callable[[], nn.Module]
    draw: Callable[[int, int], tuple[Arrays, NDArray[np.int64]]]
    rate: float = 3e-3


CASES = {
    "plain": Case(PlainNet, images),
    "mixed": Case(MixedNet, images, 1e-2),
    "vit": Case(tiny_vit, images),
    "bert": Case(tiny_bert, sentences),
}


def taught(case: Case, steps: int = 40) -> nn.Module:
    torch.manual_seed(0)
    model = case.build().train()
    optimizer = torch.optim.AdamW(model.parameters(), case.rate)
    for step in range(steps):
        arrays, labels = case.draw(32, 1000 + step)
        logits = model(*(torch.from_numpy(values) for values in arrays.values()))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def exported(model: nn.Module, arrays: Arrays, exporter: Exporter, opset: int = 18) -> onnx.ModelProto:
    """With a dynamic batch, and a dynamic length where there are tokens."""
    inputs = tuple(torch.from_numpy(values[:2]) for values in arrays.values())
    axes = {name: {0: "batch"} if values.ndim > 2 else {0: "batch", 1: "length"} for name, values in arrays.items()}
    buffer: Any = io.BytesIO()  # torch's annotations know paths alone
    common: dict[str, Any] = {"input_names": list(arrays), "output_names": ["logits"], "opset_version": opset}
    with quiet(), torch.no_grad():
        if exporter == "legacy":
            axes["logits"] = {0: "batch"}
            torch.onnx.export(model, inputs, buffer, dynamo=False, dynamic_axes=axes, **common)
            return onnx.load_model_from_string(buffer.getvalue())
        sizes = {"batch": torch.export.Dim("batch", max=64), "length": torch.export.Dim("length", min=2, max=64)}
        shapes = [{axis: sizes[name] for axis, name in named.items()} for named in axes.values()]
        nested = (tuple(shapes),) if isinstance(model, Logits) else tuple(shapes)
        program = torch.onnx.export(model, inputs, dynamo=True, dynamic_shapes=nested, verbose=False, **common)
    assert program is not None
    return program.model_proto


def as_samples(model: onnx.ModelProto, arrays: Arrays) -> InputSamples:
    return InputSamples.for_model(model, as_set(arrays))


def as_set(arrays: Arrays) -> CalibrationSet:
    count = len(next(iter(arrays.values())))
    return CalibrationSet.from_samples([f"s{i}" for i in range(count)], ["train"] * count, arrays)
