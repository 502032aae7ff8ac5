"""The stage: what it costs on a trained net, and what its artifact carries on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

import edge.compress.stages.handlers  # noqa: F401  (registers what each stage runs)
from edge.compress.distill.config import DistillConfig
from edge.compress.fitting import FitConfig, fit
from edge.compress.samples import SampleSet
from edge.compress.scoring.evaluation import evaluate
from edge.compress.sparsify.config import SparsifyConfig
from edge.compress.sparsify.masks import apply_masks
from edge.compress.sparsify.pattern import is_two_of_four
from edge.compress.sparsify.sparsifying import sparsify
from edge.compress.stages.stage import Artifact, CompressionContext, SparsifyStage, apply_stage
from edge.runtime.errors import ConfigError
from tests.compress.distill.small_models import ClassTask

if TYPE_CHECKING:
    from edge.compress.sparsify.config import SparseImportance

CLASSES, NOISE = 8, 1.3
TEACHING = DistillConfig(feature_points=("body",))
TUNE = FitConfig(epochs=6, batch_size=32, learning_rate=1e-3, modality_dropout=0, precision="float32")


class Shapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32), nn.ReLU())
        self.head = nn.Linear(32, CLASSES)

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor]:
        return (self.head(self.body(self.stem(image * present.reshape(-1, 1, 1, 1))).mean((2, 3))),)


def noisy_shapes(split: str, count: int) -> SampleSet:
    """Pictures 8x8 of eight shapes, under noise."""
    shapes = torch.randn(CLASSES, 8, 8, generator=torch.Generator().manual_seed(0))
    classes = torch.arange(count) % CLASSES
    noise = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(len(split)))
    ids = tuple(f"{split}{i}" for i in range(count))
    return SampleSet(split, ids, ids, (shapes[classes, None] + NOISE * noise,), (classes,))


TRAIN, TEST = noisy_shapes("train", 1024), noisy_shapes("test", 1024)


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    torch.manual_seed(0)
    net, task = Shapes(), ClassTask()
    schooling = TUNE.model_copy(update={"epochs": 8, "learning_rate": 5e-3})
    return fit(net, TRAIN, lambda inputs, targets: task.loss(net(*inputs), targets), schooling)


def context(teacher: nn.Module) -> CompressionContext:
    return CompressionContext(ClassTask(), TRAIN, copy.deepcopy(teacher), Shapes)


def score(model: nn.Module) -> float:
    return evaluate(model.eval(), TEST, ClassTask())["all"]["score"]


def random_half(model: nn.Module) -> nn.Module:
    """As many weights of the same layers at zero, drawn and not chosen."""
    _, masks, _ = sparsify(model, context(model).example_inputs(2), SparsifyConfig())
    drawn, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
    apply_masks(drawn, {path: torch.rand(mask.shape, generator=generator) > 0.5 for path, mask in masks.items()})
    return drawn


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_tuned_it_loses_little_where_drawn_zeros_lose_much(teacher: nn.Module, importance: SparseImportance) -> None:
    config = SparsifyStage(sparsify=SparsifyConfig(importance=importance), distill=TEACHING, fit=TUNE)
    made = apply_stage(config, Artifact("teacher", teacher), context(teacher))
    untuned, _, _ = sparsify(teacher, context(teacher).example_inputs(2), SparsifyConfig())
    dense, tuned, cut, drawn = score(teacher), score(made.model), score(untuned), score(random_half(teacher))
    assert dense > 90
    assert tuned > dense - 3  # 92.2 and 91.8 of 93.8 points
    assert tuned - cut > 0.7 * (dense - cut)  # untuned 81.9
    assert drawn < cut - 20  # 40.7


def test_the_artifact_says_what_is_sparse_and_leaves_the_model_before_alone(teacher: nn.Module) -> None:
    before = copy.deepcopy(teacher.state_dict())
    short = TUNE.model_copy(update={"epochs": 1})
    config = SparsifyStage(name="half", distill=TEACHING, fit=short)
    made = apply_stage(config, Artifact("teacher", teacher), context(teacher))
    assert made.sparsity is not None
    assert [layer.layer for layer in made.sparsity.layers] == ["body.0", "head"]
    assert made.sparsity.dense == {"stem.0": "1 input channels, no multiple of 32"}
    assert (made.name, made.plan, made.quantized, made.model.training) == ("half", None, False, False)
    assert set(made.notes["loss_parts"]) == {"first_epoch", "last_epoch"}
    weights = dict(made.model.named_parameters())
    assert all(is_two_of_four(weights[f"{name}.weight"].detach().numpy()) for name in ("body.0", "head"))
    assert all(torch.equal(tensor, teacher.state_dict()[name]) for name, tensor in before.items())


def test_a_stage_that_finds_no_layer_is_refused_before_it_trains(teacher: nn.Module) -> None:
    config = SparsifyStage(sparsify=SparsifyConfig(align=64), fit=TUNE)
    with pytest.raises(ConfigError, match=r"no layer can be 2:4 sparse .*body\.0: 32 input channels, no multiple"):
        apply_stage(config, Artifact("teacher", teacher), context(teacher))
