"""A project with its data at hand: the BUILD path from dataset to teacher to compressed stages."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from edge.compress.fitting import ResumePoint, Validation, fit
from edge.compress.latency import time_stages
from edge.compress.learning.balancing import balanced_draws, weighing_task
from edge.compress.recipe import run_recipe
from edge.compress.stages.measure import MeasuredStage, StageMeasurer
from edge.compress.stages.origin import common_origin, split_digest, training_origin
from edge.compress.stages.stage import Artifact, CompressionContext
from edge.compress.stages.store import StageStore
from edge.compress.stages.trained import keep_trained, recall_trained
from edge.data.dataset_folder import load_split, read_manifest
from edge.data.prepared import project_rig
from edge.devices.catalog import load_device
from edge.devices.estimate import estimate_graph
from edge.model_start import start_model
from edge.models.encoders.adapters import adapted
from edge.models.encoders.pretrained import origins_of
from edge.models.encoders.transformer import pretrained_digests
from edge.models.fusion_model import FusionModel
from edge.packing.pack import BundleContents, pack_bundle
from edge.project import StreetData
from edge.runtime.manifest import TrainingData
from edge.runtime.preprocess.tokens import read_tokenizers
from edge.training.augmentation.streams import stream_augment
from edge.training.branch_training import supervised
from edge.training.fusion_task import FusionTask
from edge.training.label_share import labelled_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.compress.fitting import Augment, EpochReport, OnEpoch, OnStep
    from edge.compress.provenance import Origin
    from edge.compress.samples import SampleSet
    from edge.models.fusion_model import FusionModelConfig
    from edge.project import Project
    from edge.runtime.bundle import Bundle
    from edge.runtime.rig import Rig
    from edge.runtime.statistics import Comparison
    from edge.training.pretraining.running import PretrainingRecord

GOLDEN_CASES = 4
PRETRAINED_NOTE = "pretrained_encoders"  # of the teacher's record: where their first weights came from
STUDENT_ENCODERS = "student-pretrained"  # in the store's folder
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
        train: Training split, or the part of it whose labels may be used.
        measurer: Holds the validation and the test split.
    """

    project: Project
    rig: Rig
    task: FusionTask
    dataset: Path
    train: SampleSet
    measurer: StageMeasurer

    def start_teacher(
        self, folder: Path | None = None, fresh: bool = False, on_step: OnStep | None = None
    ) -> tuple[FusionModel, PretrainingRecord | None]:
        """A teacher to be trained, its encoders pretrained where the project asks for it.

        Args:
            folder: Where pretrained encoders are kept and taken from; None keeps none.
            fresh: Whether to pretrain anew whatever lies there.
            on_step: For progress bars.

        Returns:
            The model, and what pretraining did; None where there is none.
        """
        torch.manual_seed(self.project.train.seed)
        return start_model(self.project, self.project.teacher, self._unlabelled, folder, fresh, on_step)

    def train_teacher(
        self,
        on_step: OnStep | None = None,
        resume_in: Path | None = None,
        fresh: bool = False,
        on_epoch: OnEpoch | None = None,
        model: FusionModel | None = None,
    ) -> tuple[FusionModel, float]:
        """Trains the teacher on its labels; returns it with the seconds it took.

        Args:
            on_step: For progress bars.
            resume_in: Folder for the state after each epoch, from which an interrupted training goes on; None where
                none is kept.
            fresh: Whether to start anew whatever lies there.
            on_epoch: Called after each epoch.
            model: From `start_teacher`; made so by default.
        """
        started = time.monotonic()
        model = model or self.start_teacher()[0]
        spent: list[float] = []  # by epoch, before an interruption as well

        def note(report: EpochReport) -> None:
            spent.append(report.seconds)
            if on_epoch:
                on_epoch(report)

        config, prepared = self.project.train, time.monotonic() - started
        project, task = self.project, weighing_task(self.task, config, self.train)
        trained, objective = supervised(model, task, project.alignment, project.unimodal)
        with adapted(model):
            fit(
                trained,
                self.train,
                objective,
                config,
                on_step,
                augment=self.augment,
                draw_weights=balanced_draws(self.task, config, self.train),
                validation=Validation(model, self.measurer.validation, self.task),
                resume=None if resume_in is None else ResumePoint(resume_in, self._training_origin(), fresh),
                on_epoch=note,
            )
        return model, prepared + sum(spent)

    @property
    def augment(self) -> Augment | None:
        """How training samples are varied."""
        return stream_augment(self.project.augment, self.project.io)

    def keep_teacher(self, folder: Path, model: FusionModel, seconds: float) -> None:
        """Keeps what `train_teacher` gave, with what it follows from."""
        keep_trained(folder, model, self._training_origin(), seconds)

    def recall_teacher(self, folder: Path) -> tuple[FusionModel, float] | None:
        """The teacher that was kept; None, with the reason logged, where data, settings or versions are others."""
        with torch.random.fork_rng(devices=[]):
            model = FusionModel(self.project.teacher, self.project.io)
        seconds = recall_trained(folder, model, self._training_origin())
        return None if seconds is None else (model, seconds)

    def _start_student(self, store: StageStore | None) -> FusionModel:
        """With random weights, or with encoders pretrained at its own widths."""
        project = self.project
        if project.pretrain is None or not project.pretrain.student:
            project = project.model_copy(update={"pretrain": None})
        folder = None if store is None else store.folder / STUDENT_ENCODERS
        return start_model(project, project.student, self._unlabelled, folder, store is not None and store.fresh)[0]

    def _unlabelled(self) -> SampleSet:
        """The whole training split, for what reads no labels."""
        return load_split(self.dataset, "train")

    def _training_origin(self) -> Origin:
        settings = self._settings("io", "teacher", "train", "augment", "pretrain", "labels", "alignment", "unimodal")
        if self.project.train.early_stopping is not None:
            settings["the validation split"] = split_digest(self.measurer.validation)
        if self.project.pretrain is not None:
            settings["the samples without labels"] = split_digest(self._unlabelled())
        settings |= _weights_of(self.project.teacher)
        return training_origin(self.train, settings)

    def _settings(self, *keys: str) -> dict[str, Any]:
        settings = self.project.model_dump(mode="json", by_alias=True, include=set(keys))
        settings["train"].pop("log_dir")  # where a log goes changes nothing about what is trained
        return settings

    def example_feeds(self, count: int) -> list[dict[str, NDArray[Any]]]:
        """The first test samples as an engine takes them, with everything that they have, at batch 1."""
        names, test = self.measurer.input_names, self.measurer.test
        present = torch.ones(1, len(test.inputs))
        return [
            dict(zip(names, (t.numpy() for t in test.masked(row, present)), strict=True))
            for row in torch.arange(min(count, len(test))).split(1)
        ]

    def stage_store(self, folder: Path, teacher: FusionModel, fresh: bool = False) -> StageStore:
        """Keeps finished stages in `folder`, for as long as teacher, data, widths and versions are the same.

        Reads every sample of the three splits once.
        """
        settings = self._settings("io", "student", "train", "augment")
        if self.project.pretrain is not None and self.project.pretrain.student:
            settings |= self.project.model_dump(mode="json", include={"pretrain"})
            settings["the samples without labels"] = split_digest(self._unlabelled())
        settings |= _weights_of(self.project.student)
        splits = (self.train, self.measurer.validation, self.measurer.test)
        return StageStore(folder, common_origin(teacher.state_dict(), splits, settings), fresh)

    def measure_teacher(
        self,
        model: FusionModel,
        seconds: float,
        store: StageStore | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> MeasuredStage:
        """The teacher as the first stage.

        Args:
            model: Trained.
            seconds: That it took.
            store: Where it is kept and taken from.
            notes: For its record, such as how training went.
        """
        found = store.recall_first("teacher", model) if store else None
        if found is not None:
            return found
        measured = self.measurer(Artifact("teacher", model, notes=dict(notes or {})), None, seconds, None)
        record = measured.record.model_copy(update={"config": self.project.train.model_dump(mode="json")})
        origins = {stream: origin.model_dump(mode="json") for stream, origin in origins_of(model).items()}
        if origins:
            record = record.model_copy(update={"notes": {**record.notes, PRETRAINED_NOTE: origins}})
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
            build_student=lambda: self._start_student(store),
            adapted=adapted,
            on_step=on_step,
            validation=self.measurer.validation,
            estimate=lambda device, graph: estimate_graph(graph, load_device(device)).latency_table(),
            augment=self.augment,
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
            tokenizers=read_tokenizers(self.project.io),
        )
        return pack_bundle(out, contents)

    @property
    def training_data(self) -> TrainingData:
        """Whether the data is simulated or recorded, and a line on it."""
        if isinstance(self.project.data, StreetData):
            return TrainingData(kind="simulated", description="the street simulator of edge.runtime.simulate")
        generated = self.project.data.generated
        return TrainingData(kind="simulated" if generated else "recorded", description=read_manifest(self.dataset).name)


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
        output_names=project.io.output_tensors,
        on_step=on_step,
    )
    train = labelled_part(load_split(dataset, "train"), project.labels)
    return Workbench(project, project_rig(project), task, dataset, train, measurer)


def _weights_of(config: FusionModelConfig) -> dict[str, Any]:
    """Digests of pretrained weights; nothing where no encoder has any, so that what was kept without stays valid."""
    digests = pretrained_digests(config.encoders)
    return {"pretrained weights": digests} if digests else {}
