"""A compression stage: its config class is what is dispatched on, and the record of what was done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.compress.distillation import DistillConfig
from edge.compress.fitting import FitConfig
from edge.compress.prune.slimming import PruneConfig
from edge.compress.quantize.config import QuantizeConfig
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge.compress.fitting import OnStep
    from edge.compress.prune.slimming import PruningPlan
    from edge.compress.samples import SampleSet
    from edge.compress.task import Task


class GateConfig(BaseModel):
    """What a step may cost and must bring.

    Attributes:
        max_loss: Points of `score` that may be lost in state `all`, against the stage before.
        max_loss_any: Points that may be lost in any other state.
        min_shrink: The deployed graph must be this many times smaller than before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_loss: float = Field(2.0, ge=0)
    max_loss_any: float = Field(4.0, ge=0)
    min_shrink: float = Field(1.0, ge=0)


class StageConfig(BaseModel):
    """Base of all stages' configs.

    Attributes:
        name: What the report calls the stage.
        gate: When the step is refused; absent means measured only.
        order: Stages run in rising order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: ClassVar[int]
    name: str
    gate: GateConfig | None = None


class DistillStage(StageConfig):
    """Train the student against the teacher."""

    order = 1
    stage: Literal["distill"] = "distill"
    name: str = "student"
    distill: DistillConfig = DistillConfig()
    fit: FitConfig = FitConfig()


class PruneStage(StageConfig):
    """Remove channels, then recover by distillation from the teacher."""

    order = 2
    stage: Literal["prune"] = "prune"
    name: str = "prune"
    prune: PruneConfig = PruneConfig(macs_ratio=0.65)
    distill: DistillConfig = DistillConfig()
    fit: FitConfig = FitConfig()


class QuantizeStage(StageConfig):
    """Static INT8 by a calibration set drawn from the training split."""

    order = 3
    stage: Literal["quantize"] = "quantize"
    name: str = "quantize"
    quantize: QuantizeConfig = QuantizeConfig()
    samples: int = Field(256, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class Artifact:
    """A model on its way through the stages.

    Attributes:
        name: Of the stage that made it.
        model: Takes positional tensors, `present` last.
        plan: Channels removed so far, which with the architecture and the weights rebuilds the model.
        calibration_digest: Of the calibration set, once quantized.
    """

    name: str
    model: nn.Module
    plan: PruningPlan | None = None
    calibration_digest: str | None = None

    @property
    def quantized(self) -> bool:
        """Whether the model computes in INT8."""
        return self.calibration_digest is not None


@dataclass(frozen=True)
class CompressionContext:
    """What every stage may use.

    Attributes:
        task: Losses, metrics, modalities.
        train: The training split; stages see no other data.
        teacher: Trained, in eval mode.
        build_student: A freshly initialised student.
        on_step: Factory of progress callbacks, by stage name.
    """

    task: Task
    train: SampleSet
    teacher: nn.Module
    build_student: Callable[[], nn.Module]
    on_step: Callable[[str], OnStep | None] = field(default=lambda _name: None)

    def example_inputs(self, batch: int) -> tuple[Tensor, ...]:
        """Positional inputs of the first samples, everything present."""
        import torch

        inputs = tuple(t[:batch].clone() for t in self.train.inputs)
        return (*inputs, torch.ones(len(inputs[0]), len(inputs)))


@singledispatch
def apply_stage(config: StageConfig, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Runs one stage; each config class registers its own.

    Raises:
        ConfigError: No handler is registered for this config class.
    """
    raise ConfigError(f"nothing runs a {type(config).__name__}", "use a stage from edge.compress.recipe")
