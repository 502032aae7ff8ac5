"""How a calibrated INT8 model is trained on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.distill.config import DistillConfig
from edge.compress.fitting import FitConfig


class TuneFit(FitConfig):
    """How long and how fast, with defaults for a model that has been trained already.

    Attributes:
        epochs: Passes over the training split.
        learning_rate: Of weights; the logarithms of scales move ten times as fast.
        weight_decay: None by default: it would draw weights away from the scales that were calibrated for them.
        precision: `float32` alone: bfloat16 tells fewer numbers apart than a tensor of INT8 levels holds.
        device: `cpu` alone: a traced graph keeps the device that it was traced on.
    """

    epochs: int = Field(2, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    precision: Literal["float32"] = "float32"
    device: Literal["cpu"] = "cpu"


class OutputLesson(BaseModel):
    """What the INT8 model learns from; features are not among it, for a traced graph has no modules to look at.

    Attributes:
        labels: Weight of the task's own loss.
        logits: Weight of the imitation of the teacher's outputs.
        temperature: Softens categorical outputs, as in `DistillConfig`.

    Raises:
        ValueError: Nothing is left to learn from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: float = Field(1.0, ge=0)
    logits: float = Field(1.0, ge=0)
    temperature: float = Field(2.0, gt=0)

    @model_validator(mode="after")
    def _something_is_taught(self) -> OutputLesson:
        if not (self.labels or self.logits):
            raise ValueError("labels and logits are both off: nothing is left to learn from; set one above 0")
        return self

    @property
    def whole(self) -> DistillConfig:
        """The same, as distillation takes it."""
        return DistillConfig(
            labels=self.labels, logits=self.logits, temperature=self.temperature, features=0.0, feature_points=()
        )


class TuneConfig(BaseModel):
    """Quantization-aware tuning with distillation.

    Attributes:
        teacher: Whose outputs are imitated: the recipe's teacher, or the model of the stage before, in float.
        scales: `learned` trains the scales of weights and activations with the weights; `fixed` keeps the calibrated.
        distill: What is learned.
        fit: How long and how fast; modality dropout as in every training.
        held_back: Share of the training split, in whole recordings, that is not learned from and decides whether the
            tuned model is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: Literal["recipe", "float"] = "recipe"
    scales: Literal["learned", "fixed"] = "learned"
    distill: OutputLesson = OutputLesson()
    fit: TuneFit = TuneFit()
    held_back: float = Field(0.1, gt=0, lt=1)
