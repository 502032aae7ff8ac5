"""Distance between two feature tensors of differing width, size and kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.distill.points import FeaturePoint

MAP, TOKENS, VECTOR = 4, 3, 2  # number of axes


class FeatureComparison(nn.Module):
    """Projects a student's features to its teacher's width and takes their distance.

    Features are maps `[B, C, h, w]`, token sequences `[B, T, C]` or vectors `[B, C]`. Where sizes differ, both are
    pooled to the smaller one in each axis (means, so that nothing is made up); against a vector, maps and tokens are
    averaged. A map is compared with tokens where it has as many cells as they, or one less: then the first is a
    class token and left out.

    Args:
        point: What is compared, for messages.
        student: Shape of the student's features.
        teacher: Shape of the teacher's.

    Raises:
        ConfigError: These shapes cannot be compared.
    """

    def __init__(self, point: FeaturePoint, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
        super().__init__()
        if not _comparable(student, teacher):
            raise ConfigError(
                f"feature points '{point.student}' of the student and '{point.teacher}' of the teacher give "
                f"{student} and {teacher}",
                "name modules that give maps [B, C, h, w], tokens [B, T, C] or vectors [B, C]; beside tokens, a map of "
                "as many cells",
            )
        widths = _width(student), _width(teacher)
        both_maps = len(student) == len(teacher) == MAP
        self.projector = nn.Conv2d(*widths, 1) if both_maps else nn.Linear(*widths)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Distance of each sample, float32 `[B]`.

        Squared, of features normalised over channels, mean over positions (after Zagoruyko and Komodakis 2017).
        """
        own, shown = _matched(student.float(), teacher.float())
        own = functional.normalize(self.projector(own).float(), dim=_channel_axis(own))
        shown = functional.normalize(shown, dim=_channel_axis(shown))
        return (own - shown).square().sum(_channel_axis(own)).reshape(len(own), -1).mean(1)


def _comparable(student: tuple[int, ...], teacher: tuple[int, ...]) -> bool:
    kinds = {len(student), len(teacher)}
    if not kinds <= {MAP, TOKENS, VECTOR}:
        return False
    if kinds != {MAP, TOKENS}:
        return True
    grid, tokens = (student, teacher) if len(student) == MAP else (teacher, student)
    return tokens[1] - grid[2] * grid[3] in (0, 1)


def _width(shape: tuple[int, ...]) -> int:
    return shape[2] if len(shape) == TOKENS else shape[1]


def _channel_axis(features: Tensor) -> int:
    return 2 if features.dim() == TOKENS else 1


def _matched(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both of one kind and size, channels aside."""
    kinds = {student.dim(), teacher.dim()}
    if kinds == {MAP}:
        size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
        return _pooled_map(student, size), _pooled_map(teacher, size)
    if kinds == {TOKENS}:
        count = min(student.shape[1], teacher.shape[1])
        return _pooled_tokens(student, count), _pooled_tokens(teacher, count)
    if VECTOR in kinds:
        return _averaged(student), _averaged(teacher)
    cells = min(
        features.shape[2:].numel() if features.dim() == MAP else features.shape[1] for features in (student, teacher)
    )
    return _as_tokens(student, cells), _as_tokens(teacher, cells)


def _pooled_map(features: Tensor, size: tuple[int, int]) -> Tensor:
    return features if tuple(features.shape[2:]) == size else functional.adaptive_avg_pool2d(features, size)


def _pooled_tokens(features: Tensor, count: int) -> Tensor:
    if features.shape[1] == count:
        return features
    return functional.adaptive_avg_pool1d(features.transpose(1, 2), count).transpose(1, 2)


def _averaged(features: Tensor) -> Tensor:
    """A vector `[B, C]`."""
    if features.dim() == MAP:
        return features.mean((2, 3))
    return features.mean(1) if features.dim() == TOKENS else features


def _as_tokens(features: Tensor, cells: int) -> Tensor:
    """A map's cells row by row; of tokens the last `cells`, without a class token in front."""
    return features.flatten(2).transpose(1, 2) if features.dim() == MAP else features[:, -cells:]
