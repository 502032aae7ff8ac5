"""YOLOv8, YOLO11 and YOLOX-S from the tables of their publications: widths, depths, kernels; random weights."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from published_blocks import AttentionStage, CrossStage, PooledPyramid, Residual, SplitStage, layer, leaky
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES, BINS = 80, 16
# Depth, width, and the widest that a layer may be before the width is applied.
SCALES_8 = {
    "n": (0.33, 0.25, 1024),
    "s": (0.33, 0.50, 1024),
    "m": (0.67, 0.75, 768),
    "l": (1.00, 1.00, 512),
    "x": (1.00, 1.25, 512),
}
SCALES_11 = {
    "n": (0.50, 0.25, 1024),
    "s": (0.50, 0.50, 1024),
    "m": (0.50, 1.00, 512),
    "l": (1.00, 1.00, 512),
    "x": (1.00, 1.50, 512),
}


class Head(nn.Module):
    """Boxes as distributions over 16 bins and classes, on three levels, decoded to `[B, 84, boxes]`."""

    def __init__(self, widths: tuple[int, ...], image: int, light: bool) -> None:
        super().__init__()
        box, score = max(16, widths[0] // 4, 4 * BINS), max(widths[0], min(CLASSES, 100))
        self.boxes = nn.ModuleList(
            nn.Sequential(layer(w, box, 3), layer(box, box, 3), nn.Conv2d(box, 4 * BINS, 1)) for w in widths
        )
        self.scores = nn.ModuleList(
            nn.Sequential(*self._scores(w, score, light), nn.Conv2d(score, CLASSES, 1)) for w in widths
        )
        self.expect = nn.Conv2d(BINS, 1, 1, bias=False)
        centres = [self._centres(image // stride, stride) for stride in (8, 16, 32)]
        self.register_buffer("centres", torch.cat([c for c, _ in centres], 1)[None])
        self.register_buffer("strides", torch.cat([s for _, s in centres])[None])

    @staticmethod
    def _scores(width: int, score: int, light: bool) -> list[nn.Module]:
        if not light:
            return [layer(width, score, 3), layer(score, score, 3)]
        first = [layer(width, width, 3, groups=width), layer(width, score)]
        return [*first, layer(score, score, 3, groups=score), layer(score, score)]

    @staticmethod
    def _centres(cells: int, stride: int) -> tuple[Tensor, Tensor]:
        steps = torch.arange(cells) + 0.5
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        return torch.stack([x.flatten(), y.flatten()]), torch.full((cells * cells,), float(stride))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Centre, size and class scores of each cell."""
        found = [torch.cat([b(m), s(m)], 1).flatten(2) for b, s, m in zip(self.boxes, self.scores, maps, strict=True)]
        sides, scores = torch.cat(found, 2).split([4 * BINS, CLASSES], 1)
        cells = sides.shape[2]
        spread = sides.view(1, 4, BINS, cells).transpose(1, 2).softmax(1)
        before, after = self.expect(spread).view(1, 4, cells).chunk(2, 1)
        low, high = self.centres - before, self.centres + after
        boxes = torch.cat([(low + high) / 2, high - low], 1) * self.strides
        return torch.cat([boxes, scores.sigmoid()], 1)


class Yolo(nn.Module):
    """Five stages down, a pyramid up and down again, and the head; what differs are the stages."""

    stage_widths: tuple[int, ...] = (128, 256, 512, 1024)

    def __init__(self, scale: tuple[float, float, int], image: int = 640, light: bool = False) -> None:
        super().__init__()
        self.depth_scale, self.width_scale, self.widest = scale
        w = [self.width(c) for c in (64, 128, 256, 512, 1024)]
        s = [self.width(c) for c in self.stage_widths]
        self.down = nn.ModuleList(layer(i, o, 3, 2) for i, o in zip((3, w[0], *s[:3]), w, strict=True))
        self.stages = nn.ModuleList(self.backbone_stage(i, w[i + 1], s[i]) for i in range(4))
        self.top = self.top_of(w[4])
        self.up_4, self.up_3 = self.neck_stage(w[4] + s[2], w[3], 4), self.neck_stage(w[3] + s[1], w[2], 3)
        self.down_3, self.down_4 = layer(w[2], w[2], 3, 2), layer(w[3], w[3], 3, 2)
        self.out_4, self.out_5 = self.neck_stage(w[2] + w[3], w[3], 4), self.neck_stage(w[3] + w[4], w[4], 5)
        self.twice = nn.Upsample(scale_factor=2)
        self.head = Head((w[2], w[3], w[4]), image, light)

    def width(self, channels: int) -> int:
        """Channels of a layer at this scale, a multiple of 8."""
        return -(-int(min(channels, self.widest) * self.width_scale) // 8) * 8

    def depth(self, blocks: int) -> int:
        """Blocks of a stage at this scale."""
        return max(round(blocks * self.depth_scale), 1)

    def backbone_stage(self, index: int, inputs: int, outputs: int) -> nn.Module:
        """Stage 0 to 3 of the backbone, behind each convolution that halves the picture but the first."""
        raise NotImplementedError

    def neck_stage(self, inputs: int, outputs: int, level: int) -> nn.Module:
        """A stage of the neck; `level` is 3 to 5."""
        raise NotImplementedError

    def top_of(self, channels: int) -> nn.Module:
        """What stands on top of the backbone."""
        return PooledPyramid(channels)

    def forward(self, image: Tensor) -> Tensor:
        """`[1, 84, 8400]` of `[1, 3, 640, 640]`."""
        x, maps = self.down[0](image), []
        for down, stage in zip(list(self.down)[1:], self.stages, strict=True):
            x = stage(down(x))
            maps.append(x)
        _, third, fourth, _ = maps
        fifth = self.top(x)
        up_4 = self.up_4(torch.cat([self.twice(fifth), fourth], 1))
        out_3 = self.up_3(torch.cat([self.twice(up_4), third], 1))
        out_4 = self.out_4(torch.cat([self.down_3(out_3), up_4], 1))
        out_5 = self.out_5(torch.cat([self.down_4(out_4), fifth], 1))
        found: Tensor = self.head([out_3, out_4, out_5])
        return found


class Yolo8(Yolo):
    """YOLOv8 at scale n, s, m, l or x."""

    def __init__(self, scale: str) -> None:
        super().__init__(SCALES_8[scale])

    def backbone_stage(self, index: int, inputs: int, outputs: int) -> nn.Module:
        """Blocks of two 3x3 convolutions with a way around."""
        blocks = self.depth((3, 6, 6, 3)[index])
        return SplitStage(inputs, outputs, blocks, lambda c: Residual(layer(c, c, 3), layer(c, c, 3)))

    def neck_stage(self, inputs: int, outputs: int, level: int) -> nn.Module:
        """The same without a way around."""
        return SplitStage(
            inputs, outputs, self.depth(3), lambda c: Residual(layer(c, c, 3), layer(c, c, 3), around=False)
        )


class Yolo11(Yolo):
    """YOLO11 at scale n, s, m, l or x."""

    stage_widths = (256, 512, 512, 1024)

    def __init__(self, scale: str) -> None:
        self.deep = scale in "mlx"
        super().__init__(SCALES_11[scale], light=True)

    def _block(self, nested: bool) -> Callable[[int], nn.Module]:
        if nested or self.deep:
            return lambda c: CrossStage(c, c, 2)
        return lambda c: Residual(layer(c, c // 2, 3), layer(c // 2, c, 3))

    def backbone_stage(self, index: int, inputs: int, outputs: int) -> nn.Module:
        """The first two work on a quarter of the channels that they leave."""
        return SplitStage(inputs, outputs, self.depth(2), self._block(index > 1), 0.25 if index < 2 else 0.5)

    def neck_stage(self, inputs: int, outputs: int, level: int) -> nn.Module:
        """Blocks nest on the coarsest level, and on all of the larger scales."""
        return SplitStage(inputs, outputs, self.depth(2), self._block(level == 5))

    def top_of(self, channels: int) -> nn.Module:
        """Pooled, then attention."""
        return nn.Sequential(PooledPyramid(channels), AttentionStage(channels, self.depth(2)))


class YoloX(nn.Module):
    """YOLOX-S with leaky ReLUs; raw results, as they come out before decoding."""

    def __init__(self) -> None:
        super().__init__()
        w = (32, 64, 128, 256, 512)
        self.stem = leaky(12, w[0], 3)
        self.down = nn.ModuleList(leaky(i, o, 3, 2) for i, o in pairwise(w))
        self.stages = nn.ModuleList(_leaky_stage(c, c, d) for c, d in ((64, 1), (128, 3), (256, 3)))
        self.enter, self.leave = leaky(512, 256), leaky(1024, 512)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.fifth = _leaky_stage(512, 512, 1, around=False)
        self.reduce_5, self.reduce_4 = leaky(512, 256), leaky(256, 128)
        self.up_4, self.up_3 = _leaky_stage(512, 256, 1, False), _leaky_stage(256, 128, 1, False)
        self.down_3, self.down_4 = leaky(128, 128, 3, 2), leaky(256, 256, 3, 2)
        self.out_4, self.out_5 = _leaky_stage(256, 256, 1, False), _leaky_stage(512, 512, 1, False)
        self.twice = nn.Upsample(scale_factor=2)
        self.heads = nn.ModuleList(_LeakyHead(c) for c in (128, 256, 512))

    def forward(self, image: Tensor) -> Tensor:
        """`[1, 85, 8400]` of `[1, 3, 640, 640]`."""
        corners = [image[..., i::2, j::2] for j in (0, 1) for i in (0, 1)]
        x = self.stem(torch.cat(corners, 1))
        maps = []
        for down, stage in zip(list(self.down)[:3], self.stages, strict=True):
            x = stage(down(x))
            maps.append(x)
        _, third, fourth = maps
        x = self.enter(self.down[3](x))
        fifth = self.fifth(self.leave(torch.cat([x, *(pool(x) for pool in self.pools)], 1)))
        small = self.reduce_5(fifth)
        middle = self.reduce_4(self.up_4(torch.cat([self.twice(small), fourth], 1)))
        out_3 = self.up_3(torch.cat([self.twice(middle), third], 1))
        out_4 = self.out_4(torch.cat([self.down_3(out_3), middle], 1))
        out_5 = self.out_5(torch.cat([self.down_4(out_4), small], 1))
        return torch.cat([h(m).flatten(2) for h, m in zip(self.heads, (out_3, out_4, out_5), strict=True)], 2)


def _leaky_stage(inputs: int, outputs: int, depth: int, around: bool = True) -> CrossStage:
    return CrossStage(inputs, outputs, depth, around, leaky, first=1)


class _LeakyHead(nn.Module):
    """Boxes, objectness and classes of one level, classes and boxes apart."""

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        self.stem = leaky(channels, width)
        self.scores, self.boxes = (nn.Sequential(leaky(width, width, 3), leaky(width, width, 3)) for _ in range(2))
        self.score, self.box, self.object = (nn.Conv2d(width, n, 1) for n in (CLASSES, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 85, h, w]`."""
        x = self.stem(x)
        boxes = self.boxes(x)
        return torch.cat([self.box(boxes), self.object(boxes).sigmoid(), self.score(self.scores(x)).sigmoid()], 1)
