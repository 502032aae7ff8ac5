"""Stages that distil: their artifacts say what each part of the loss came to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import edge.compress.stages.handlers  # noqa: F401  (registers what each stage runs)
from edge.compress.distill.config import DistillConfig
from edge.compress.distill.teaching import teach
from edge.compress.fitting import EarlyStoppingConfig, FitConfig
from edge.compress.learning.progress import TRAINING_NOTE
from edge.compress.prune.slimming import PruneConfig
from edge.compress.stages.stage import Artifact, CompressionContext, DistillStage, PruneStage, StageConfig, apply_stage
from edge.runtime.errors import ConfigError
from tests.compress.distill.small_models import ClassTask, Small, two_classes

if TYPE_CHECKING:
    from edge.compress.fitting import Augment

FIT = FitConfig(epochs=2, batch_size=16, precision="float32")
TEACHING = DistillConfig(feature_points=("early",))
STAGES = (
    DistillStage(distill=TEACHING, fit=FIT),
    PruneStage(prune=PruneConfig(ratio=0.5, align=2), distill=TEACHING, fit=FIT),
)


@pytest.mark.parametrize("config", STAGES, ids=lambda config: config.name)
def test_a_stages_notes_hold_the_parts_of_the_first_and_the_last_epoch(config: StageConfig) -> None:
    torch.manual_seed(0)
    context = CompressionContext(ClassTask(), two_classes(), Small(8).eval(), lambda: Small(4))
    made = apply_stage(config, Artifact("before", Small(8).eval()), context)
    parts = made.notes["loss_parts"]
    assert set(parts) == {"first_epoch", "last_epoch"}
    assert list(parts["last_epoch"]) == ["labels", "logits", "features early"]
    assert parts["last_epoch"] != parts["first_epoch"]


@pytest.mark.parametrize("config", STAGES, ids=lambda config: config.name)
def test_a_stage_is_taught_with_what_the_context_varies(config: StageConfig) -> None:
    def made(augment: Augment | None) -> Tensor:
        torch.manual_seed(0)
        context = CompressionContext(ClassTask(), two_classes(), Small(8).eval(), lambda: Small(4), augment=augment)
        model = apply_stage(config, Artifact("before", Small(8).eval()), context).model
        return torch.cat([p.flatten() for p in model.parameters()])

    def dimmed(inputs: tuple[Tensor, ...], _p: Tensor, _g: torch.Generator) -> tuple[Tensor, ...]:
        return tuple(0.5 * x for x in inputs)

    plain = made(None)
    assert torch.equal(plain, made(lambda inputs, _p, _g: inputs))
    assert not torch.equal(plain, made(dimmed))


class OneScore:
    """Whatever is answered."""

    def update(self, outputs: Any, targets: Any) -> None:
        pass

    def result(self) -> dict[str, float]:
        return {"score": 50.0}


class UnjudgedTask(ClassTask):
    def metric(self) -> Any:
        return OneScore()


@pytest.mark.parametrize("config", STAGES, ids=lambda config: config.name)
def test_a_stage_that_may_end_early_notes_which_epoch_it_kept(config: DistillStage | PruneStage) -> None:
    stopping = EarlyStoppingConfig(patience=1, state="all")
    early = config.model_copy(update={"fit": FIT.model_copy(update={"epochs": 9, "early_stopping": stopping})})
    torch.manual_seed(0)
    data = replace(two_classes(), split="validation")
    context = CompressionContext(UnjudgedTask(), two_classes(), Small(8).eval(), lambda: Small(4), validation=data)
    notes = apply_stage(early, Artifact("before", Small(8).eval()), context).notes[TRAINING_NOTE]
    assert notes["kept_epoch"] == 1 and notes["epochs"] == 2, "nothing is better than what is always the same"
    assert notes["first_loss"] != notes["last_loss"]


def test_a_stage_without_a_validation_split_cannot_end_early() -> None:
    fit = FIT.model_copy(update={"early_stopping": EarlyStoppingConfig()})
    context = CompressionContext(ClassTask(), two_classes(), Small(8).eval(), lambda: Small(4))
    with pytest.raises(ConfigError, match="early_stopping is set and there is no validation split here"):
        apply_stage(DistillStage(distill=TEACHING, fit=fit), Artifact("before", Small(8).eval()), context)


def test_parts_of_the_loss_are_those_of_whole_batches() -> None:
    """However many parts a batch is computed in; without batch normalisation, which sees a part at a time."""

    def parts(accumulate: int) -> dict[str, float]:
        torch.manual_seed(0)
        fit = FIT.model_copy(update={"accumulate": accumulate, "epochs": 1, "learning_rate": 1e-9})
        student, teacher = Small(4).eval(), Small(8)
        for norm in (m for m in student.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.requires_grad_(False)
        history = teach(student, teacher, two_classes(), ClassTask(), TEACHING, fit)
        assert len(history.epochs) == 1
        return history.last

    assert parts(4) == pytest.approx(parts(1), rel=1e-4)
