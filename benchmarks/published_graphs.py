"""Networks that boards' makers and users have published latencies of, rebuilt from their published descriptions.

Widths, depths, kernels and strides are those of the descriptions; weights are random, for only the shape of the work
counts here. Parameters and operations are compared with the published ones before anything is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from published_yolo import Yolo8, Yolo11, YoloX
from torch import Tensor, nn
from torch.nn import functional
from transformers import ResNetConfig, ResNetForImageClassification, ResNetModel

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20270119


@dataclass(frozen=True)
class PublishedGraph:
    """A network and what its publishers say of its size.

    Attributes:
        name: How figures refer to it.
        build: Makes the module.
        inputs: Shapes by name; the first dimension is 1, several images go into the second.
        outputs: Names of its outputs.
        parameters: As published, in millions; None where nobody says.
        giga_operations: As published, two for each multiply-accumulate; None where nobody says.
        counted: Where these two were read.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    parameters: float | None
    giga_operations: float | None
    counted: str

    def model(self) -> nn.Module:
        """The module in evaluation mode, its weights from a fixed seed."""
        torch.manual_seed(SEED)
        return self.build().eval()

    def example(self) -> tuple[Tensor, ...]:
        """Random inputs."""
        generator = torch.Generator().manual_seed(SEED)
        return tuple(torch.randn(shape, generator=generator) for shape in self.inputs.values())


class Images(nn.Module):
    """Several images in the second dimension of one input, which a graph of batch 1 can take."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits of `[1, n, 3, h, w]`."""
        logits: Tensor = self.model(images.flatten(0, 1)).logits
        return logits


def resnet50() -> nn.Module:
    """ResNet-50 v1.5: the stride is in the 3x3 convolution."""
    return Images(ResNetForImageClassification(ResNetConfig(num_labels=1000)))


class Pyramid(nn.Module):
    """The neck of BEVFusion's camera branch: from the top down, upsample, concatenate, 1x1, 3x3."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        inputs = (*(w + channels for w in widths[:-2]), widths[-2] + widths[-1])
        self.lateral = nn.ModuleList(convolution(i, channels, 1) for i in inputs)
        self.smooth = nn.ModuleList(convolution(channels, channels, 3) for _ in inputs)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The finest level."""
        top = maps[-1]
        for level in range(len(maps) - 2, -1, -1):
            size = maps[level].shape[2:]
            up = functional.interpolate(top, size=size, mode="bilinear", align_corners=True)
            top = self.smooth[level](self.lateral[level](torch.cat([maps[level], up], 1)))
        return top


class BevFusionCamera(nn.Module):
    """What CUDA-BEVFusion's engine `camera.backbone` computes: ResNet-50, its neck, and the depth net.

    Not in it: normalising the images, the depth map of the lidar's points, pooling into the bird's eye view, and what
    comes after.
    """

    depths, features = 118, 80

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNetModel(ResNetConfig())
        self.neck = Pyramid((512, 1024, 2048), 256)
        self.depth = nn.Sequential(convolution(1, 8, 1), convolution(8, 32, 5, 4), convolution(32, 64, 5, 2))
        self.depth_net = nn.Sequential(
            convolution(256 + 64, 256, 3), convolution(256, 256, 3), nn.Conv2d(256, self.depths + self.features, 1)
        )

    def forward(self, image: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[n, h, w, 80]` and depth weights `[n, 118, h, w]` of `[1, n, 3, H, W]` and `[1, n, 1, H, W]`."""
        states = self.backbone(image.flatten(0, 1), output_hidden_states=True).hidden_states
        joined = torch.cat([self.depth(depth.flatten(0, 1)), self.neck(list(states[-3:]))], 1)
        found = self.depth_net(joined)
        weights = found[:, : self.depths].softmax(1)
        return found[:, self.depths :].permute(0, 2, 3, 1), weights


class NanoSamEncoder(nn.Module):
    """NanoSAM's image encoder: ResNet-18, three convolutions, one upsampling, a projection."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        config = ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
        self.backbone = ResNetModel(config)
        self.up = nn.Sequential(
            *(layer for i in (512, width, width) for layer in (nn.Conv2d(i, width, 3, padding=1), nn.GELU())),
            nn.ConvTranspose2d(width, width, 3, 2, 1, 1),
            nn.GELU(),
        )
        self.project = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, width, 1))
        self.position = nn.Parameter(torch.randn(1, width, 64, 64))

    def forward(self, image: Tensor) -> Tensor:
        """Embedding `[1, 256, 64, 64]`."""
        features: Tensor = self.project(self.up(self.backbone(image).last_hidden_state))
        return features + self.position


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


_ULTRALYTICS = "https://docs.ultralytics.com/models/"
_MLPERF = "https://arxiv.org/abs/1911.02549"
_SQUARE = {"images": (1, 3, 640, 640)}
_YOLO8 = {"n": (3.2, 8.7), "s": (11.2, 28.6), "m": (25.9, 78.9), "l": (43.7, 165.2), "x": (68.2, 257.8)}
_YOLO11 = {"n": (2.6, 6.5), "s": (9.4, 21.5), "m": (20.1, 68.0), "l": (25.3, 86.9), "x": (56.9, 194.9)}

GRAPHS = (
    PublishedGraph("resnet50", resnet50, {"images": (1, 1, 3, 224, 224)}, ("logits",), 25.6, 8.2, _MLPERF),
    PublishedGraph("resnet50-batch8", resnet50, {"images": (1, 8, 3, 224, 224)}, ("logits",), 25.6, 8 * 8.2, _MLPERF),
    *(
        PublishedGraph(f"yolov8{s}", lambda s=s: Yolo8(s), _SQUARE, ("found",), *counts, f"{_ULTRALYTICS}yolov8/")
        for s, counts in _YOLO8.items()
    ),
    *(
        PublishedGraph(f"yolo11{s}", lambda s=s: Yolo11(s), _SQUARE, ("found",), *counts, f"{_ULTRALYTICS}yolo11/")
        for s, counts in _YOLO11.items()
    ),
    PublishedGraph("yolox-s-leaky", YoloX, _SQUARE, ("found",), 9.0, 26.8, "https://arxiv.org/abs/2107.08430"),
    PublishedGraph(
        "bevfusion-camera",
        BevFusionCamera,
        {"image": (1, 6, 3, 256, 704), "depth": (1, 6, 1, 256, 704)},
        ("features", "weights"),
        None,
        None,
        "",
    ),
    PublishedGraph("nanosam-encoder", NanoSamEncoder, {"image": (1, 3, 1024, 1024)}, ("embedding",), None, None, ""),
)
