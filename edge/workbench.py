"""A project with its data at hand: the BUILD path from dataset to teacher to compressed stages."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.fit import fit
from edge.compress.measure import MeasuredStage, StageMeasurer
from edge.compress.recipe import run_recipe
from edge.compress.stage import Artifact, CompressionContext
from edge.data.dataset_folder import load_split
from edge.data.street import project_rig
from edge.models.fusion_model import FusionModel
from edge.runtime.model_io import GridOutput
from edge.training.fusion_task import FusionTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from edge.compress.fit import OnStep
    from edge.compress.samples import SampleSet
    from edge.project import Project
    from edge.runtime.rig import Rig


@dataclass(frozen=True)
class Workbench:
    """Everything that training and compression of one project read.

    Attributes:
        project: The resolved project.
        rig: The sensors that its samples were taken with.
        task: Losses and metrics.
        dataset: Where the splits lie.
        train: Training split.
        measurer: Holds the validation and the test split.
    """

    project: Project
    rig: Rig
    task: FusionTask
    dataset: Path
    train: SampleSet
    measurer: StageMeasurer

    def train_teacher(self, on_step: OnStep | None = None) -> tuple[FusionModel, float]:
        """Trains the teacher from scratch; returns it with the seconds it took."""
        torch.manual_seed(self.project.train.seed)
        started = time.monotonic()
        model = FusionModel(self.project.teacher, self.project.io)

        def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
            return self.task.loss(model(*inputs), targets)

        fit(model, self.train, objective, self.project.train, on_step)
        return model, time.monotonic() - started

    def example_feed(self) -> dict[str, np.ndarray]:
        """The first test sample as an engine takes it, everything present; what latencies are timed on."""
        measurer = self.measurer
        example = measurer.example_inputs()
        return {name: tensor.numpy() for name, tensor in zip(measurer.input_names, example, strict=True)}

    def measure_teacher(self, model: FusionModel, seconds: float) -> MeasuredStage:
        """The teacher as the first stage."""
        measured = self.measurer(Artifact("teacher", model), None, seconds, None)
        record = measured.record.model_copy(update={"config": self.project.train.model_dump(mode="json")})
        return MeasuredStage(measured.artifact, measured.graphs, record)

    def compress(
        self, teacher: MeasuredStage, on_step: Callable[[str], OnStep | None] = lambda _name: None
    ) -> Iterator[MeasuredStage]:
        """Runs the project's recipe on a measured teacher.

        Raises:
            GateError: A stage was refused.
        """
        context = CompressionContext(
            task=self.task,
            train=self.train,
            teacher=teacher.artifact.model,
            build_student=lambda: FusionModel(self.project.student, self.project.io),
            on_step=on_step,
        )
        return run_recipe(self.project.recipe, teacher, context, self.measurer)


def open_workbench(project: Project, dataset: Path, on_step: Callable[[], None] | None = None) -> Workbench:
    """Loads the three splits of a prepared dataset.

    Raises:
        DataError: The dataset is missing, malformed or lacks a split.
    """
    task = FusionTask(project.io)
    measurer = StageMeasurer(
        task=task,
        validation=load_split(dataset, "validation"),
        test=load_split(dataset, "test"),
        input_names=tuple(item.tensor for item in project.io.inputs),
        output_names=output_names(project),
        on_step=on_step,
    )
    return Workbench(project, project_rig(project), task, dataset, load_split(dataset, "train"), measurer)


def output_names(project: Project) -> tuple[str, ...]:
    """Tensor names in the order of the model's outputs."""
    names: list[str] = []
    for output in project.io.outputs:
        names.append(output.tensor)
        if isinstance(output, GridOutput):
            names.append(output.distance_tensor)
    return tuple(names)
