"""Which positions of which dimensions must stay or go together: a union-find over channel labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

# One label per index of a dimension. Positions whose labels share a class are kept or removed together.
Labels = NDArray[np.int64]
# One array of labels per dimension of a tensor.
Dims = tuple[Labels, ...]

FIXED = 0  # the label of a position that is never removed: batch, space, inputs


class ChannelClasses:
    """Union-find whose classes may be blocked, with the first reason kept."""

    def __init__(self) -> None:
        self._parent = [FIXED]
        self._blocked: dict[int, str] = {}

    def fresh(self, size: int) -> Labels:
        """New labels for a dimension; a dimension of size 1 has no channel to remove."""
        if size == 1:
            return fixed(1)
        start = len(self._parent)
        self._parent.extend(range(start, start + size))
        return np.arange(start, start + size, dtype=np.int64)

    def find(self, label: int) -> int:
        """The representative of a label's class."""
        parent = self._parent
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    def classes(self, labels: Labels) -> Labels:
        """Representatives of all labels, in the same shape."""
        found = [self.find(label) for label in labels.ravel().tolist()]
        return np.array(found, dtype=np.int64).reshape(labels.shape)

    def tie(self, first: Labels, second: Labels, what: str) -> None:
        """Makes two dimensions of equal length share their fate, index by index.

        Args:
            first: Labels `[n]`.
            second: Labels `[n]`.
            what: The operation that ties them, for the reason where one side is fixed.
        """
        assert first.shape == second.shape, f"{what} ties {first.shape} to {second.shape}"
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            self._union(self.find(a), self.find(b), what)

    def block(self, labels: Labels, reason: str) -> None:
        """Forbids to remove any of these positions."""
        for label in set(labels.ravel().tolist()):
            root = self.find(label)
            if root != FIXED:
                self._blocked.setdefault(root, reason)

    def pin(self, labels: Labels) -> None:
        """Makes a dimension one that is no channel at all, such as a kernel's height."""
        for label in labels.tolist():
            self._parent[self.find(label)] = FIXED

    def reason(self, root: int) -> str | None:
        """Why the class of `root` may not be removed, None where it may."""
        return self._blocked.get(root)

    def _union(self, a: int, b: int, what: str) -> None:
        if a == b:
            return
        if FIXED in (a, b):
            self._blocked.setdefault(max(a, b), f"{what} ties it to a dimension that is no channel")
            return
        reason = self._blocked.pop(b, None)
        self._parent[b] = a
        if reason is not None:
            self._blocked.setdefault(a, reason)


def fixed(size: int) -> Labels:
    """Labels of a dimension that is never pruned."""
    return np.full(size, FIXED, dtype=np.int64)


def is_fixed(labels: Labels) -> bool:
    """Whether no position of the dimension can be removed."""
    return not labels.any()


def first_free(dims: Iterable[Labels]) -> list[int]:
    """Indices of the dimensions that carry channels."""
    return [index for index, labels in enumerate(dims) if not is_fixed(labels)]


def repeat_to(labels: Labels, shape: tuple[int, ...], dim: int) -> Labels:
    """Labels of dimension `dim` broadcast over a whole block of dimensions, flattened in memory order."""
    view = [1] * len(shape)
    view[dim] = shape[dim]
    return cast("Labels", np.broadcast_to(labels.reshape(view), shape).reshape(-1))
