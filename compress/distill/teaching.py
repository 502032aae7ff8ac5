"""Trains a student against a teacher."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from edge.compress.distill.history import PartsRecorder
from edge.compress.distill.lesson import Lesson
from edge.compress.distill.points import captured_outputs, resolve_points
from edge.compress.fitting import Validation, fit, set_layout
from edge.compress.learning.balancing import balanced_draws, weighing_task
from edge.compress.learning.device import training_device
from edge.compress.parallel.rank_training import copy_from_first
from edge.compress.parallel.ranks import current_ranks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge.compress.distill.config import DistillConfig
    from edge.compress.distill.history import LossHistory
    from edge.compress.fitting import Augment, FitConfig, OnEpoch, OnStep
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
    *,
    augment: Augment | None = None,
    validation: SampleSet | None = None,
    on_epoch: OnEpoch | None = None,
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
        augment: Changes what both see.
        validation: What early stopping judges the student by.
        on_epoch: Called after each epoch.

    Returns:
        What each part of the loss came to in each epoch.

    Raises:
        ConfigError: A feature point is missing in one of the models, its outputs cannot be compared, or `fit_config`
            asks for what the task or the data lacks.
        DataError: The data is not a training split, or smaller than a batch.
        ModelError: The loss became NaN or infinite.
    """
    points = resolve_points(config, student, teacher, task.modalities)
    lesson_task, draws = weighing_task(task, fit_config, data), balanced_draws(task, fit_config, data)
    copy_from_first(teacher)
    set_layout(teacher.eval().requires_grad_(False), torch.channels_last)
    with ExitStack() as stack:
        student_features = stack.enter_context(captured_outputs(student, [p.student for p in points]))
        teacher_features = stack.enter_context(captured_outputs(teacher, [p.teacher for p in points]))
        lesson = Lesson(student, teacher, lesson_task, config, points, student_features, teacher_features)
        trained = lesson.look_once(data)
        parts_a_batch = fit_config.accumulate
        recorder = PartsRecorder(len(data) // fit_config.batch_size * parts_a_batch)

        def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
            parts = lesson.parts(inputs, targets)
            recorder.add(parts, share=len(inputs[0]) * parts_a_batch / fit_config.batch_size)
            return torch.stack(list(parts.values())).sum()

        judged = None if validation is None else Validation(student, validation, task)
        teacher.to(training_device(fit_config, current_ranks()))
        fit(
            trained,
            data,
            objective,
            fit_config,
            on_step,
            augment=augment,
            draw_weights=draws,
            validation=judged,
            on_epoch=on_epoch,
        )
        teacher.cpu()
    student.eval()
    return recorder.history()
