"""What compression needs to know of a learning task, whatever the model and the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

# How an output tensor is read, which decides how a student imitates it.
OutputKind = Literal["categorical", "multilabel", "regression"]


class Metric(Protocol):
    """Accumulates over batches."""

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Takes one batch."""

    def result(self) -> dict[str, float]:
        """All metrics so far, in points of 0..100; `score` is the one that gates look at."""


class Task(Protocol):
    """Losses and metrics over a model's output tensors."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """In the order of the model's inputs."""

    @property
    def output_kinds(self) -> tuple[OutputKind, ...]:
        """One per output tensor."""

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Scalar training loss."""

    def metric(self) -> Metric:
        """A fresh accumulator."""
