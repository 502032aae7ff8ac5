"""Class imbalance: the task with the weights, and the draws, that a config asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.scoring.imbalance import BalancingTask
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.learning.config import FitConfig
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task


def weighing_task(task: Task, config: FitConfig, data: SampleSet) -> Task:
    """The task with the class weights that `config` asks for; the same object where it asks for none.

    Args:
        task: Its loss is weighted.
        config: Its `class_weights`.
        data: The whole training split, whose frequencies count.

    Raises:
        ConfigError: The task knows no classes, or has others than there are weights for.
    """
    if config.class_weights == "none":
        return task
    return _balancing(task, "class_weights").weighing(config.class_weights, data.targets)


def balanced_draws(task: Task, config: FitConfig, data: SampleSet) -> Tensor | None:
    """How likely each sample is to be drawn, `[N]`; None where sampling is uniform.

    Raises:
        ConfigError: The task knows no classes.
    """
    if config.sampling == "uniform":
        return None
    return _balancing(task, "sampling").draw_weights(data.targets)


def _balancing(task: Task, key: str) -> BalancingTask:
    if not isinstance(task, BalancingTask):
        raise ConfigError(f"{key} is set and a {type(task).__name__} knows no classes", f"leave {key} out")
    return task
