"""Random numbers, one a sample, that vary a batch: all from the caller's generator, so that a seed repeats them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def per_sample(numbers: Tensor, like: Tensor) -> Tensor:
    """`[B]` as `[B, 1, ...]`, to be used with a tensor `[B, ...]`."""
    return numbers.reshape(-1, *[1] * (like.dim() - 1))


def drawn_between(low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform numbers, float32 `[B, 1, ...]`, one for each sample of `like`."""
    return per_sample(low + (high - low) * torch.rand(len(like), generator=generator), like)


def chosen_samples(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """Bool `[count]`: each sample with this probability."""
    return torch.rand(count, generator=generator) < probability


def gaussian_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers of the same shape."""
    return torch.randn(x.shape, generator=generator)


def moved(x: Tensor, steps: Tensor, axis: int) -> Tensor:
    """Each sample moved along an axis; what comes in from outside repeats the border.

    Args:
        x: `[B, ...]`.
        steps: int64 `[B]`; positive moves towards higher indices.
        axis: Not the first one.
    """
    length = x.shape[axis]
    source = (torch.arange(length)[None] - steps[:, None]).clamp(0, length - 1)
    shape = [len(x), *[1] * (x.dim() - 1)]
    shape[axis] = length
    return x.gather(axis, source.reshape(shape).expand_as(x))


def drawn_steps(largest: int, count: int, generator: torch.Generator) -> Tensor:
    """int64 `[count]` from `-largest` to `largest`."""
    return torch.randint(-largest, largest + 1, (count,), generator=generator)


def drawn_stretch(longest: int, length: int, count: int, generator: torch.Generator) -> Tensor:
    """Bool `[count, length]`: one stretch a sample, of up to `longest` places, anywhere."""
    size = torch.randint(0, longest + 1, (count, 1), generator=generator)
    start = (torch.rand(count, 1, generator=generator) * (length - size + 1)).long()
    place = torch.arange(length)[None]
    return (place >= start) & (place < start + size)
