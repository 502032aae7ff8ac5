"""What every quantizer gets: one trained model as a torch module and as float ONNX, and one calibration set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.calibration.drawing import DrawConfig, SampleSource, draw_set
from edge.compress.export import export_onnx
from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from pathlib import Path

    from measured_models import TrainedModel
    from torch import Tensor, nn

    from edge.calibration.dataset import CalibrationSet
    from edge.compress.scoring.task import Task

DRAW = DrawConfig(samples=256)
CALIBRATION_BATCH = 16  # for those who take batches; the float ONNX graph takes one sample at a time


@dataclass(frozen=True)
class SharedInputs:
    """One model, one calibration set, in the forms that quantizers read.

    Attributes:
        module: Float, in eval mode.
        fp32: Its ONNX file, batch 1.
        calibration: The samples, by input name, `present` among them.
        samples_file: The same as an `.npz` file of one array an input, `[samples, ...]`.
        task: Gives the metric.
        input_names: In the order of the module's inputs.
        output_names: In the order of its outputs.
        transformer: Whether to tell peers that ask.
        export_seconds: Processor time of the float export, which sides that start from ONNX have behind them.
    """

    module: nn.Module
    fp32: Path
    calibration: CalibrationSet
    samples_file: Path
    task: Task
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    transformer: bool
    export_seconds: float

    def batches(self, size: int = CALIBRATION_BATCH) -> list[tuple[Tensor, ...]]:
        """The calibration samples as positional tensors, in order."""
        return [tuple(torch.from_numpy(a) for a in arrays) for arrays in self.calibration.batches(size)]

    @property
    def example(self) -> tuple[Tensor, ...]:
        """The first calibration sample, batch 1."""
        return self.batches(1)[0]


def share_inputs(trained: TrainedModel, folder: Path) -> SharedInputs:
    """Draws the calibration set and exports the model; the files go to `folder`.

    Raises:
        ModelError: The model does not export.
    """
    measurer = trained.bench.measurer
    calibration = draw_calibration(trained)
    example = tuple(torch.from_numpy(a) for a in next(iter(calibration.batches(1))))
    started = time.process_time()
    graph = export_onnx(trained.module, example, measurer.input_names, measurer.output_names)
    seconds = time.process_time() - started
    folder.mkdir(parents=True, exist_ok=True)
    fp32, samples = folder / "fp32.onnx", folder / "calibration.npz"
    with atomic_file(fp32) as draft:
        draft.write_bytes(graph.SerializeToString())
    with atomic_file(samples) as draft, draft.open("wb") as file:
        np.savez(file, **calibration.tensors)
    return SharedInputs(
        module=trained.module,
        fp32=fp32,
        calibration=calibration,
        samples_file=samples,
        task=trained.bench.task,
        input_names=measurer.input_names,
        output_names=measurer.output_names,
        transformer=trained.measured.transformer,
        export_seconds=seconds,
    )


def draw_calibration(trained: TrainedModel) -> CalibrationSet:
    """Training samples, some of them with modalities missing, so that placeholders have a range as well.

    Raises:
        DataError: A sample is not finite.
    """
    train = trained.bench.train
    *modalities, present = trained.bench.measurer.input_names
    arrays = dict(zip(modalities, (t.numpy() for t in train.inputs), strict=True))
    source = SampleSource(train.split, train.ids, arrays, present)
    return draw_set(source, DRAW.model_copy(update={"seed": trained.seed}))
