"""A workbench on each of several processes: where clocks or disks could tell them different things, all go by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.compress.parallel.collectives import first_alone, gather_values
from edge.compress.stages.agreed_store import AgreedStore
from edge.compress.stages.judging import StageRefusedError
from edge.runtime.errors import ConfigError
from edge.runtime.statistics.pairwise import Comparison
from edge.runtime.statistics.timing import Timing
from edge.workbench import Workbench, open_workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.compress.fitting import OnStep
    from edge.compress.stages.measure import MeasuredStage
    from edge.compress.stages.store import StageStore
    from edge.models.fusion_model import FusionModel
    from edge.project import Project


class SharedWorkbench(Workbench):
    """Collective: all processes do the same with it; one alone has a plain `Workbench`."""

    def stage_store(self, folder: Path, teacher: FusionModel, fresh: bool = False) -> AgreedStore:
        """As `Workbench.stage_store`; stages are taken from it by all processes or by none."""
        store = super().stage_store(folder, teacher, fresh)
        return AgreedStore(store.folder, store.common, store.fresh)

    def compress(
        self,
        teacher: MeasuredStage,
        on_step: Callable[[str], OnStep | None] = lambda _name: None,
        store: StageStore | None = None,
    ) -> Iterator[MeasuredStage]:
        """As `Workbench.compress`.

        Raises:
            StageRefusedError: A stage was refused, on every process.
            ConfigError: It was refused on some only: one would go on alone and wait for ever.
        """
        stages = super().compress(teacher, on_step, store)
        for _ in self.project.recipe.stages:
            yield _judged_alike(stages)

    def _time_pair(self, before: MeasuredStage, after: MeasuredStage) -> Comparison:
        """The first process times, with the others at rest; a gate is then judged alike everywhere."""
        time_pair = super()._time_pair
        return _comparison(first_alone(lambda: _plain(time_pair(before, after))))


def open_shared_workbench(project: Project, dataset: Path) -> SharedWorkbench:
    """As `edge.workbench.open_workbench`.

    Raises:
        DataError: The dataset is missing, malformed or lacks a split.
    """
    return SharedWorkbench(**vars(open_workbench(project, dataset)))


def _judged_alike(stages: Iterator[MeasuredStage]) -> MeasuredStage:
    found: MeasuredStage | StageRefusedError
    try:
        found = next(stages)
    except StageRefusedError as refusal:
        found = refusal
    refused = gather_values(isinstance(found, StageRefusedError))
    if len(set(refused)) > 1:
        on = ", ".join(str(rank) for rank, it_was in enumerate(refused) if it_was)
        raise ConfigError(f"only process {on} of {len(refused)} refused a stage", "use machines of one kind")
    if isinstance(found, StageRefusedError):
        raise found
    return found


def _plain(found: Comparison) -> dict[str, Any]:
    return {
        "ratio": found.ratio,
        "interval": found.interval,
        "range": found.range,
        "rounds": found.rounds,
        "seed": found.seed,
        "a": [found.a.samples_ns.tolist(), found.a.stable],
        "b": [found.b.samples_ns.tolist(), found.b.stable],
    }


def _comparison(plain: dict[str, Any]) -> Comparison:
    a, b = (Timing(np.array(samples, np.int64), stable) for samples, stable in (plain["a"], plain["b"]))
    interval, span = ((low, high) for low, high in (plain["interval"], plain["range"]))
    return Comparison(plain["ratio"], interval, span, plain["rounds"], plain["seed"], a, b)
