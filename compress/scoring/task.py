"""What compression needs to know of a learning task, whatever the model and the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

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


@runtime_checkable
class AdditiveMetric(Metric, Protocol):
    """A metric of counts that add up over samples (hits, predictions, occurrences).

    Whatever is drawn from the samples, its counts are summed and the metric computed anew: that is how a macro-F1,
    which is no mean over samples, gets a bootstrap interval.
    """

    def sample_counts(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """float64 `[B, counts]` of one batch; nothing is accumulated."""

    def points(self, counts: Tensor) -> dict[str, Tensor]:
        """What `result` says of summed counts, for many sums at once: `[..., counts]` to `[...]` each."""


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
        """A fresh accumulator; gates give intervals where it is an `AdditiveMetric`."""
