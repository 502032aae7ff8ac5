"""A project with its data at hand: the BUILD path from dataset to teacher to compressed stages."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.compress.fitting import fit
from edge.compress.latency import time_stages
from edge.compress.recipe import run_recipe
from edge.compress.stages.measure import MeasuredStage, StageMeasurer
from edge.compress.stages.origin import common_origin, training_origin
from edge.compress.stages.stage import Artifact, CompressionContext
from edge.compress.stages.store import StageStore
from edge.compress.stages.trained import keep_trained, recall_trained
from edge.data.dataset_folder import load_split, read_manifest
from edge.data.street import project_rig
from edge.devices.catalog import load_device
from edge.devices.estimate import estimate_graph
from edge.models.fusion_model import FusionModel
from edge.packing.pack import BundleContents, pack_bundle
from edge.project import StreetData
from edge.runtime.manifest import TrainingData
from edge.runtime.model_io import GridOutput
from edge.training.fusion_task import FusionTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.fitting import OnStep
    from edge.compress.samples import SampleSet
    from edge.compress.stages.origin import Origin
    from edge.project import Project
    from edge.runtime.bundle import Bundle
    from edge.runtime.rig import Rig
    from edge.runtime.statistics import Comparison

GOLDEN_CASES = 4
GATE_ROUNDS = 100  # of timing, where a gate asks for speed
LICENSES = """The graphs of this bundle hold weights that were trained by edge-fusion (Apache-2.0).
They carry the licence that their owner gives them; data that is not generated keeps its own licence.
"""


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

    def keep_teacher(self, folder: Path, model: FusionModel, seconds: float) -> None:
        """Keeps what `train_teacher` gave, with what it follows from."""
        keep_trained(folder, model, self._training_origin(), seconds)

    def recall_teacher(self, folder: Path) -> tuple[FusionModel, float] | None:
        """The teacher that was kept; None, with the reason logged, where data, settings or versions are others."""
        with torch.random.fork_rng(devices=[]):
            model = FusionModel(self.project.teacher, self.project.io)
        seconds = recall_trained(folder, model, self._training_origin())
        return None if seconds is None else (model, seconds)

    def _training_origin(self) -> Origin:
        settings = self.project.model_dump(mode="json", by_alias=True, include={"io", "teacher", "train"})
        return training_origin(self.train, settings)

    def example_feeds(self, count: int) -> list[dict[str, NDArray[np.float32]]]:
        """The first test samples as an engine takes them, everything present, at batch 1."""
        names, test = self.measurer.input_names, self.measurer.test
        present = np.ones((1, len(test.inputs)), np.float32)
        return [
            dict(zip(names, (*(t[i : i + 1].numpy() for t in test.inputs), present), strict=True))
            for i in range(min(count, len(test)))
        ]

    def stage_store(self, folder: Path, teacher: FusionModel, fresh: bool = False) -> StageStore:
        """Keeps finished stages in `folder`, for as long as teacher, data, widths and versions are the same.

        Reads every sample of the three splits once.
        """
        settings = self.project.model_dump(mode="json", by_alias=True, include={"io", "student", "train"})
        splits = (self.train, self.measurer.validation, self.measurer.test)
        return StageStore(folder, common_origin(teacher.state_dict(), splits, settings), fresh)

    def measure_teacher(self, model: FusionModel, seconds: float, store: StageStore | None = None) -> MeasuredStage:
        """The teacher as the first stage."""
        found = store.recall_first("teacher", model) if store else None
        if found is not None:
            return found
        measured = self.measurer(Artifact("teacher", model), None, seconds, None)
        record = measured.record.model_copy(update={"config": self.project.train.model_dump(mode="json")})
        measured = replace(measured, record=record)
        if store:
            store.keep_first(measured)
        return measured

    def compress(
        self,
        teacher: MeasuredStage,
        on_step: Callable[[str], OnStep | None] = lambda _name: None,
        store: StageStore | None = None,
    ) -> Iterator[MeasuredStage]:
        """Runs the project's recipe on a measured teacher.

        Args:
            teacher: From `measure_teacher`.
            on_step: Gives each stage its progress callback.
            store: Where finished stages are kept and taken from.

        Raises:
            StageRefusedError: A stage was refused.
        """
        context = CompressionContext(
            task=self.task,
            train=self.train,
            teacher=teacher.artifact.model,
            build_student=lambda: FusionModel(self.project.student, self.project.io),
            on_step=on_step,
            validation=self.measurer.validation,
            estimate=lambda device, graph: estimate_graph(graph, load_device(device)).latency_table(),
        )
        return run_recipe(self.project.recipe, teacher, context, self.measurer, store, self._time_pair)

    def _time_pair(self, before: MeasuredStage, after: MeasuredStage) -> Comparison:
        return time_stages([before, after], self.example_feeds(1)[0], rounds=GATE_ROUNDS).first_over_last

    def pack(self, stages: Sequence[MeasuredStage], out: Path) -> Bundle:
        """Packs the last stage: its INT8 dialects, and the FP32 graph of the stage it was quantized from.

        Every modality state that the last stage was measured in counts as validated, with its score on the
        validation split.
        """
        last = stages[-1]
        # Later stages replace earlier graphs of the same dialect.
        graphs = {dialect: graph for stage in stages for dialect, graph in stage.graphs.items()}
        contents = BundleContents(
            name=self.project.name,
            graphs=graphs,
            model_io=self.project.io,
            rig=self.rig,
            recipe=self.project.model_dump(mode="json", by_alias=True),
            data=self.training_data,
            validated_states={state: m["score"] for state, m in last.record.gate_metrics.items()},
            golden_inputs=self.example_feeds(GOLDEN_CASES),
            licenses=LICENSES,
            stages=[stage.record for stage in stages],
            calibration_digest=last.artifact.calibration_digest,
            seed=self.project.train.seed,
            program=last.program,
        )
        return pack_bundle(out, contents)

    @property
    def training_data(self) -> TrainingData:
        """Whether the data is simulated or recorded, and a line on it."""
        if isinstance(self.project.data, StreetData):
            return TrainingData(kind="simulated", description="the street simulator of edge.runtime.simulate")
        return TrainingData(kind="recorded", description=read_manifest(self.dataset).name)


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
