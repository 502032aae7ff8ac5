"""A stage store of several processes: a stage is taken from it by all of them, or done again by all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.parallel.collectives import gather_values
from edge.compress.stages.store import StageStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from edge.compress.stages.measure import MeasuredStage
    from edge.compress.stages.stage import CompressionContext, StageConfig


class AgreedStore(StageStore):
    """Collective: every rank recalls the same stages, in the same order.

    Ranks read one folder at different times, or, on several machines, folders of which only the first's is written. If
    one trained and another did not, the first would wait for ever.
    """

    def recall_first(self, name: str, model: nn.Module) -> MeasuredStage | None:
        """As `StageStore.recall_first`, where every rank has it."""
        return self._agreed(super().recall_first(name, model))

    def recall(
        self, stages: Sequence[StageConfig], before: MeasuredStage, context: CompressionContext
    ) -> MeasuredStage | None:
        """As `StageStore.recall`, where every rank has it."""
        return self._agreed(super().recall(stages, before, context))

    def _agreed(self, found: MeasuredStage | None) -> MeasuredStage | None:
        if all(gather_values(found is not None)):
            return found
        if found is not None:
            self.resumed.remove(found.record.name)
        return None
