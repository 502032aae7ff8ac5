"""A compression stage: its config class is what is dispatched on, and the record of what was done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.calibration.selection import Selection
from edge.compress.distill.config import DistillConfig
from edge.compress.fitting import FitConfig
from edge.compress.gates.config import GateConfig
from edge.compress.precision_plan import PrecisionPlan, load_plan
from edge.compress.prune.slimming import PruneConfig
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.sensitivity.config import PlanSearchConfig
from edge.compress.sparsify.config import SparsifyConfig
from edge.compress.tuning.config import TuneConfig
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge.compress.fitting import Augment, OnStep
    from edge.compress.prune.latency_source import EstimateLatency
    from edge.compress.prune.slimming import PruningPlan
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task
    from edge.compress.sparsify.record import SparsityRecord


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


class SparsifyStage(StageConfig):
    """Zero two of each four weights where sparse kernels exist, then recover by distillation while zeros stay."""

    order = 3
    stage: Literal["sparsify"] = "sparsify"
    name: str = "sparsify"
    sparsify: SparsifyConfig = SparsifyConfig()
    distill: DistillConfig = DistillConfig()
    fit: FitConfig = FitConfig()


class QuantizeStage(StageConfig):
    """Static INT8 by a calibration set drawn from the training split, and training through its rounding if asked.

    Attributes:
        tune: Train weights and scales on, against a teacher; absent means that calibration is all.
        samples: In the calibration set.
        selection: `random`, or `ranges`: such that their scales are those of the whole training split.
        complete: Share of them with every modality; the others are seen in every other state.
        seed: Of that draw.
        plan: INT8, FP16 or FP32 by layer; given as a path, that file's rules stand here from then on.
        search: Look for such a plan instead, under a budget.

    Raises:
        ValueError: Both are set, or a plan beside `keep_float` or `keep_fp32`, which say the same.
    """

    order = 4
    stage: Literal["quantize"] = "quantize"
    name: str = "quantize"
    quantize: QuantizeConfig = QuantizeConfig()
    tune: TuneConfig | None = None
    samples: int = Field(256, ge=1)
    selection: Selection = "random"
    complete: float = Field(0.7, ge=0, le=1)
    seed: int = 0
    plan: PrecisionPlan | None = None
    search: PlanSearchConfig | None = None

    @field_validator("plan", mode="before")
    @classmethod
    def _read_plan(cls, value: object) -> object:
        return load_plan(Path(value)) if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _precisions_are_said_once(self) -> QuantizeStage:
        kept = [name for name in ("keep_float", "keep_fp32") if getattr(self.quantize, name)]
        if self.plan is not None and (kept or self.search is not None):
            other = "search" if self.search else kept[0]
            raise ValueError(f"`plan` and `{other}` contradict each other: drop one of them")
        return self


@dataclass(frozen=True)
class Artifact:
    """A model on its way through the stages.

    Attributes:
        name: Of the stage that made it.
        model: Takes positional tensors, `present` last.
        plan: Channels removed so far, which with the architecture and the weights rebuilds the model.
        calibration_digest: Of the calibration set, once quantized.
        settings: How it was quantized, with what a plan decided; None where the stage's own settings stood.
        notes: For the stage's record.
        sparsity: Which of its weights are 2:4 sparse; None where no stage made them so.
    """

    name: str
    model: nn.Module
    plan: PruningPlan | None = None
    calibration_digest: str | None = None
    settings: QuantizeConfig | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    sparsity: SparsityRecord | None = None

    @property
    def quantized(self) -> bool:
        """Whether the model computes in INT8."""
        return self.calibration_digest is not None


@dataclass(frozen=True)
class CompressionContext:
    """What every stage may use.

    Attributes:
        task: Losses, metrics, modalities.
        train: The training split; but for a plan's search, stages see no other data.
        teacher: Trained, in eval mode.
        build_student: A freshly initialised student.
        on_step: Factory of progress callbacks, by stage name.
        validation: What a plan of precisions is judged by, and what early stopping looks at; None where neither is.
        estimate: Latencies of a graph's layers on a device of that name; None where no stage asks for an estimate.
        augment: Changes the batches that students and pruned models are taught with; None where nothing does.
        adapted: Entered while a student is distilled: which of its parameters learn, and through what.
    """

    task: Task
    train: SampleSet
    teacher: nn.Module
    build_student: Callable[[], nn.Module]
    on_step: Callable[[str], OnStep | None] = field(default=lambda _name: None)
    validation: SampleSet | None = None
    estimate: EstimateLatency | None = None
    augment: Augment | None = None
    adapted: Callable[[nn.Module], AbstractContextManager[None]] = field(default=lambda _model: nullcontext())

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
