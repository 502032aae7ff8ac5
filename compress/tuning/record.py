"""What tuning brought a quantized model; importing this loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

TUNING_NOTE = "tuning"  # of the stage's record


class TuningRecord(BaseModel):
    """What became of the loss on the samples that were held back, and what was kept.

    Attributes:
        held_back: How many samples.
        by_recording: Whether whole recordings were held back; not where the split has one alone.
        untuned: Weighted parts of the loss there, with calibrated weights and scales.
        tuned: The same after training.
        kept: What the lower sum speaks for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    held_back: int
    by_recording: bool
    untuned: dict[str, float]
    tuned: dict[str, float]
    kept: Literal["tuned", "untuned"]
