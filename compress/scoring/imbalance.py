"""What a task offers where classes are of different frequency: weights in the loss, and samples drawn alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol, runtime_checkable

from pydantic import Field

from edge.compress.scoring.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

# Of one output: `balanced` is by the frequencies of the training split, numbers are one a class.
OutputWeights = Literal["none", "balanced"] | tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]
# Of all outputs alike, or by the name of an output's tensor.
ClassWeights = OutputWeights | dict[str, OutputWeights]


@runtime_checkable
class BalancingTask(Task, Protocol):
    """A task that knows the classes of its targets."""

    def weighing(self, weights: ClassWeights, targets: Sequence[Tensor]) -> Task:
        """The same task with weighted losses.

        Args:
            weights: As configured.
            targets: Of the whole training split, in the order that the loss wants.

        Raises:
            ConfigError: An output is unknown, or has another number of classes.
        """

    def draw_weights(self, targets: Sequence[Tensor]) -> Tensor:
        """How likely each sample is to be drawn so that classes come up alike: float64 `[N]`, not normalised."""
