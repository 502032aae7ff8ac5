"""A float model that runs at any mix of precisions, and the data that each mix is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from edge.compress.scoring.evaluation import evaluate, measurable_states
from edge.compress.sensitivity.bias_shifts import BiasShifts
from edge.compress.sensitivity.emulation import emulate
from edge.compress.sensitivity.units import find_units, quantize_settings
from edge.runtime.errors import DataError
from edge.runtime.states import all_states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from edge.compress.precision_plan import PlannedPrecision
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task
    from edge.compress.sensitivity.calibrated_graph import CalibratedGraph
    from edge.compress.sensitivity.config import SensitivityConfig
    from edge.compress.sensitivity.emulation import EmulatedModel
    from edge.compress.sensitivity.report import Target
    from edge.compress.sensitivity.unit_choices import Unit


@dataclass(frozen=True, eq=False)
class SweptModel:
    """A model that is emulated at any mix of precisions, and what it is judged by.

    Attributes:
        graph: From `calibrate_graph`.
        task: Metric, output kinds, modalities.
        validation: Samples on which scores and distances are taken.
        config: How much of it.
    """

    graph: CalibratedGraph
    task: Task
    validation: SampleSet
    config: SensitivityConfig

    def __post_init__(self) -> None:
        if self.validation.split == "test":
            raise DataError("asked to plan on the 'test' split", "pass the validation split")

    @cached_property
    def _shifts(self) -> BiasShifts:
        return BiasShifts(self.graph)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """What a plan decides, in the graph's order."""
        return find_units(self.graph, self.task.modalities, self.config.branches)

    @cached_property
    def states(self) -> dict[str, Tensor]:
        """`present` of every modality state that there are samples for, float32 `[1, modalities]`."""
        states, names = all_states(self.task.modalities), self.task.modalities
        measurable = measurable_states(self.validation, names)
        return {state: torch.tensor([[float(m in states[state]) for m in names]]) for state in measurable}

    @cached_property
    def base(self) -> dict[str, float]:
        """Score of the float model, by state."""
        return self.scores({unit.name: "fp32" for unit in self.units})

    def emulated(self, precisions: Mapping[str, PlannedPrecision]) -> EmulatedModel:
        """The model with every unit at its precision."""
        return emulate(self.graph, quantize_settings(precisions, self.units, self.graph.config), self._shifts)

    def scores(self, precisions: Mapping[str, PlannedPrecision]) -> dict[str, float]:
        """Score on all of the samples, by state."""
        return self.scores_of(self.emulated(precisions))

    def scores_of(self, run: Callable[..., Sequence[Tensor]]) -> dict[str, float]:
        """The same of any runner."""
        found = evaluate(run, self.validation, self.task, batch_size=self.config.batch_size)
        return {state: metrics["score"] for state, metrics in found.items()}

    def alone(self, kind: Target, target: str, precision: PlannedPrecision) -> dict[str, PlannedPrecision]:
        """Precisions with one layer or branch narrow, as far as it may be, and FP32 elsewhere."""
        chosen = (u.name if kind == "layer" else u.branch for u in self.units)
        return {
            u.name: precision if name == target and precision in u.choices else "fp32"
            for u, name in zip(self.units, chosen, strict=True)
        }

    def compared(self) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
        """State and inputs of each batch on which outputs are compared."""
        for state, present in self.states.items():
            having = self.validation.having(present[0])
            count = min(self.config.samples, len(having))
            for rows in having[torch.arange(count) * len(having) // count].split(self.config.batch_size):
                yield state, self.validation.masked(rows, present.expand(len(rows), -1))

    @cached_property
    def reference(self) -> list[tuple[Tensor, ...]]:
        """The float model's outputs on those batches."""
        run = self.emulated({unit.name: "fp32" for unit in self.units})
        return [run(*inputs) for _, inputs in self.compared()]
