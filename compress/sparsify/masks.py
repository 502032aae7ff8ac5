"""Which weights stay, and holding the others at zero while the rest is trained."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch

from edge.compress.parallel.collectives import gather_arrays
from edge.compress.prune.importance import first_order_changes
from edge.compress.sparsify.pattern import two_of_four
from edge.runtime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from edge.compress.prune.importance import Losses
    from edge.compress.sparsify.config import SparseImportance

    # Path of a weight to what stays of it, bool of its shape.
    Masks = Mapping[str, Tensor]


def choose_masks(
    model: nn.Module, paths: Sequence[str], importance: SparseImportance, losses: Losses | None = None
) -> dict[str, Tensor]:
    """The two most important of each four weights stay. Under `joined_ranks()` what the first rank chose holds for all.

    Args:
        model: Not changed.
        paths: Of its weights.
        importance: `magnitude`, or `taylor`, which needs losses.
        losses: Given a model, yields the scalar loss of each batch.

    Raises:
        ConfigError: There are no losses for `taylor`.
        DataError: A weight or its importance is NaN or infinite, or the losses are unusable.
    """
    scores = _scores(model, paths, importance, losses)
    unsound = next((path for path, score in scores.items() if not bool(torch.isfinite(score).all())), None)
    if unsound is not None:
        raise DataError(f"the importance of {unsound} is NaN or infinite", "look for NaN in the weights or the data")
    return {path: torch.from_numpy(gather_arrays(two_of_four(score.numpy()))[0]) for path, score in scores.items()}


def apply_masks(model: nn.Module, masks: Masks) -> None:
    """Sets what goes to zero, in place."""
    weights = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for path, mask in masks.items():
            weights[path].masked_fill_(~mask, 0)


@contextmanager
def held_masks(model: nn.Module, masks: Masks) -> Iterator[None]:
    """Inside, training leaves zeros where they are: their gradients are zero, and weight decay takes nothing of them.

    Args:
        model: Its weights were masked. An optimizer must start inside: moments of before would move them.
        masks: From `choose_masks`.
    """
    weights = dict(model.named_parameters(remove_duplicate=False))
    trained = {path: mask for path, mask in masks.items() if weights[path].requires_grad}
    hooks = [weights[path].register_hook(partial(_masked, mask)) for path, mask in trained.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    moved = [path for path, mask in masks.items() if bool((weights[path].detach()[~mask] != 0).any())]
    assert not moved, f"training moved zeros of {moved}"


def _masked(mask: Tensor, gradient: Tensor) -> Tensor:
    return gradient * mask


def _scores(
    model: nn.Module, paths: Sequence[str], importance: SparseImportance, losses: Losses | None
) -> dict[str, Tensor]:
    """float64 by path, of each weight's shape."""
    if importance == "magnitude":
        weights = dict(model.named_parameters(remove_duplicate=False))
        return {path: weights[path].detach().double().abs().cpu() for path in paths}
    if losses is None:
        raise ConfigError("importance 'taylor' needs losses", "pass losses=..., or set importance to 'magnitude'")
    changes = first_order_changes(model, losses)
    return {path: changes[path] for path in paths}
