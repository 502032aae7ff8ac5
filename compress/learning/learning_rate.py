"""The learning rate of each step, as a share of its peak: a function of the step alone, so that it needs no state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.compress.learning.config import FitConfig


def rate_share(config: FitConfig, step: int, steps: int) -> float:
    """Share of `learning_rate` at a step.

    Args:
        config: Names the schedule.
        step: From 0.
        steps: In all.

    Returns:
        Above 0 up to 1; the decay by cosine is 0 only after the last step.
    """
    if config.schedule == "one_cycle":
        return _one_cycle(step, steps, config.warmup)
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / steps))
    passed = sum(step >= share * steps for share in config.step_at) if config.schedule == "step" else 0
    rising = max(1, round(config.warmup * steps))
    return min(1.0, (step + 1) / rising) * config.step_factor**passed


def _one_cycle(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
