"""How a model is trained: the `train` key of a project, and `fit` of every stage that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.scoring.imbalance import ClassWeights

MEAN = "mean"  # of all modality states
# Keys that came after the others: seeds that are made from a config leave their defaults out.
LATER_KEYS = {
    "dropped",
    "optimizer",
    "momentum",
    "nesterov",
    "schedule",
    "step_at",
    "step_factor",
    "accumulate",
    "gradient_checkpointing",
    "device",
    "early_stopping",
    "class_weights",
    "sampling",
    "log_dir",
}


class EarlyStoppingConfig(BaseModel):
    """Ends a training that no longer gets better, and gives the model its best weights back.

    Attributes:
        patience: Epochs without a better score on the validation split, after which it ends.
        state: The modality state whose score decides; `mean` is that of all states.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patience: int = Field(3, ge=1)
    state: str = MEAN


class FitConfig(BaseModel):
    """How a model is trained.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Samples a step.
        learning_rate: Peak of the schedule.
        weight_decay: Of weights; biases, normalisations and placeholders do not decay.
        warmup: Share of the steps in which the rate rises linearly; `cosine` has none.
        modality_dropout: Probability that a sample is seen with a random subset of its modalities.
        dropped: What encoders get of a modality that was dropped: `zeros`, as at run time; or `hidden`, the tensor as
            it is, which `present` alone calls absent: batch normalisations then count real samples alone. For models
            that let nothing of what is absent through, as every `FusionModel`.
        precision: `bfloat16` and `float16` use autocast; `auto` takes bfloat16 where the device has it.
        clip: Largest gradient norm.
        seed: Of shuffling, modality dropout and augmentation.
        optimizer: `adamw`, or `sgd` with momentum.
        momentum: Of SGD.
        nesterov: Whether SGD looks ahead.
        schedule: `one_cycle` is warm-up and cosine decay, `cosine` the decay alone, `constant` and `step` follow a
            warm-up; `step` multiplies the rate by `step_factor` at each of `step_at`.
        step_at: Shares of the steps, rising.
        step_factor: What the rate is multiplied by there.
        accumulate: Parts that a batch is computed in, one after the other, to save memory; the step is that of the
            whole batch, but for statistics of batch normalisations, which see a part at a time.
        gradient_checkpointing: Compute the activations of branches again in the backward pass, to save memory.
        device: Where it is trained; the model is on the CPU afterwards.
        early_stopping: When to end before the last epoch; absent means never.
        class_weights: In the loss: `balanced` by the frequencies of the training split, or a number for each class.
        sampling: `balanced` draws samples, with replacement, such that classes come up alike.
        log_dir: Where scalars are written for TensorBoard; in a project relative to its file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(8, ge=1)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    modality_dropout: float = Field(0.4, ge=0, le=1)
    dropped: Literal["zeros", "hidden"] = "zeros"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    clip: float = Field(5.0, gt=0)
    seed: int = 0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    schedule: Literal["one_cycle", "cosine", "constant", "step"] = "one_cycle"
    step_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.6, 0.85)
    step_factor: float = Field(0.1, gt=0, lt=1)
    accumulate: int = Field(1, ge=1)
    gradient_checkpointing: bool = False
    device: Literal["cpu", "cuda"] = "cpu"
    early_stopping: EarlyStoppingConfig | None = None
    class_weights: ClassWeights = "none"
    sampling: Literal["uniform", "balanced"] = "uniform"
    log_dir: Path | None = None

    @model_validator(mode="after")
    def _keys_go_together(self) -> FitConfig:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        if list(self.step_at) != sorted(set(self.step_at)):
            raise ValueError("step_at must rise")
        return self
