"""Trains a student against a teacher."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from edge.compress.distill.history import PartsRecorder
from edge.compress.distill.lesson import Lesson
from edge.compress.distill.points import captured_outputs, resolve_points
from edge.compress.fitting import fit, set_layout
from edge.compress.parallel.rank_training import copy_from_first

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge.compress.distill.config import DistillConfig
    from edge.compress.distill.history import LossHistory
    from edge.compress.fitting import FitConfig, OnStep
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task


def teach(
    student: nn.Module,
    teacher: nn.Module,
    data: SampleSet,
    task: Task,
    config: DistillConfig,
    fit_config: FitConfig,
    on_step: OnStep | None = None,
) -> LossHistory:
    """Trains `student` in place against `teacher`, both seeing the same modality dropout, and leaves it in eval mode.

    Under `joined_ranks()` it is trained by all ranks together, as `fit` says.

    Args:
        student: Takes positional tensors, `present` last.
        teacher: The same inputs and outputs; it stays as it is.
        data: The training split.
        task: Its loss, and how outputs are read.
        config: What is imitated.
        fit_config: How long and how fast.
        on_step: For progress bars.

    Returns:
        What each part of the loss came to in each epoch.

    Raises:
        ConfigError: A feature point is missing in one of the models, or its outputs cannot be compared.
        DataError: The data is not a training split, or smaller than a batch.
        ModelError: The loss became NaN or infinite.
    """
    points = resolve_points(config, student, teacher, task.modalities)
    copy_from_first(teacher)
    set_layout(teacher.eval().requires_grad_(False), torch.channels_last)
    with ExitStack() as stack:
        student_features = stack.enter_context(captured_outputs(student, [p.student for p in points]))
        teacher_features = stack.enter_context(captured_outputs(teacher, [p.teacher for p in points]))
        lesson = Lesson(student, teacher, task, config, points, student_features, teacher_features)
        trained = lesson.look_once(data)
        recorder = PartsRecorder(len(data) // fit_config.batch_size)

        def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
            parts = lesson.parts(inputs, targets)
            recorder.add(parts, share=len(inputs[0]) / fit_config.batch_size)
            return torch.stack(list(parts.values())).sum()

        fit(trained, data, objective, fit_config, on_step)
    student.eval()
    return recorder.history()
