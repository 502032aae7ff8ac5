"""Distillation: imitation is least at equality, the teacher stays as it is, features are compared by name."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.distillation import DistillConfig, distill, imitation_loss
from edge.compress.fitting import FitConfig
from edge.compress.samples import SampleSet
from edge.compress.task import Metric, OutputKind
from edge.runtime.errors import ConfigError
from edge.training.metrics import AccuracyMetric

FIT = FitConfig(epochs=6, batch_size=16, learning_rate=0.02, precision="float32", modality_dropout=0.0)
SHAPES: dict[OutputKind, tuple[int, ...]] = {"categorical": (4, 3), "multilabel": (4, 2), "regression": (4, 1)}


class Small(nn.Module):
    """Two convolutions of which the first is wide or narrow, and a class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.early = nn.Conv2d(1, width, 1)
        self.late = nn.Sequential(nn.BatchNorm2d(width), nn.Conv2d(width, 2 * width, 1))
        self.head = nn.Linear(2 * width, 2)

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        late = self.late(self.early(x * present.reshape(-1, 1, 1, 1)).relu())
        return (self.head(late.mean((2, 3))),)


class ClassTask:
    """One modality, two classes."""

    modalities = ("camera",)
    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        return functional.cross_entropy(outputs[0], targets[0])

    def metric(self) -> Metric:
        return AccuracyMetric()


def samples() -> SampleSet:
    classes = torch.arange(64) % 2
    noise = torch.randn(64, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    ids = tuple(str(i) for i in range(64))
    return SampleSet("train", ids, ids, (noise + classes.reshape(-1, 1, 1, 1),), (classes,))


def models() -> tuple[Small, Small]:
    torch.manual_seed(3)
    return Small(4), Small(8)


@pytest.mark.parametrize("kind", get_args(OutputKind))
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_imitation_is_least_where_outputs_are_equal(
    kind: Literal["categorical", "multilabel", "regression"], temperature: float
) -> None:
    wanted = torch.randn(SHAPES[kind], generator=torch.Generator().manual_seed(1))
    equal = wanted.clone().requires_grad_()
    loss = imitation_loss([equal], [wanted], [kind], temperature)
    loss.backward()
    assert equal.grad is not None
    assert equal.grad.abs().max() < 1e-6
    assert imitation_loss([wanted + 0.5 * wanted.sign()], [wanted], [kind], temperature) > loss
    if kind != "multilabel":  # whose least value is the teacher's own entropy
        assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_classes_are_compared_up_to_a_shift_of_all_logits() -> None:
    wanted = torch.randn(5, 3)
    assert float(imitation_loss([wanted + 7], [wanted], ["categorical"], 2.0)) == pytest.approx(0, abs=1e-5)


def test_temperature_keeps_the_size_of_gradients() -> None:
    wanted, sizes = torch.tensor([[0.2, -0.1, 0.0]]), []
    for temperature in (1.0, 8.0):
        output = torch.zeros(1, 3, requires_grad=True)
        imitation_loss([output], [wanted], ["categorical"], temperature).backward()
        assert output.grad is not None
        sizes.append(float(output.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_an_error_on_an_object_weighs_more_than_one_on_background() -> None:
    wanted = torch.zeros(1, 3, 1, 2)
    wanted[0, 0, 0, 0], wanted[0, 1, 0, 1] = 6.0, 6.0  # left cell: background, right cell: an object
    losses = []
    for cell in (0, 1):
        output = wanted.clone()
        output[0, 2, 0, cell] += 6.0
        losses.append(float(imitation_loss([output], [wanted], ["categorical"], 1.0)))
    assert losses[1] > 5 * losses[0]


def test_outputs_are_averaged() -> None:
    wanted, output = torch.zeros(1, 1), torch.full((1, 1), 0.5)
    both = imitation_loss([output, wanted], [wanted, wanted], ["regression", "regression"], 1.0)
    assert float(both) == pytest.approx(float(imitation_loss([output], [wanted], ["regression"], 1.0)) / 2)


def test_the_student_learns_to_answer_as_the_teacher_does() -> None:
    student, teacher = models()
    data = samples()
    inputs = (*data.inputs, torch.ones(len(data), 1))
    wanted = teacher.eval()(*inputs)

    def distance() -> float:
        return float(imitation_loss(student.eval()(*inputs), wanted, ["categorical"], 1.0).detach())

    before = distance()
    only_logits = DistillConfig(labels=0, features=0)
    distill(student, teacher, data, ClassTask(), only_logits, FIT)
    assert not student.training
    assert distance() < 0.1 * before


def test_the_teacher_stays_as_it_was() -> None:
    student, teacher = models()
    before = copy.deepcopy(teacher.state_dict())
    distill(student, teacher.train(), samples(), ClassTask(), DistillConfig(feature_points=("late",)), FIT)
    after = teacher.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items()), "batch statistics included"


def test_features_of_other_widths_are_pulled_together() -> None:
    student, teacher = models()
    before = student.early.weight.detach().clone()
    only_features = DistillConfig(labels=0, logits=0, features=1, feature_points=("early",))
    losses: list[float] = []
    distill(student, teacher, samples(), ClassTask(), only_features, FIT, lambda _d, _s, loss: losses.append(loss))
    assert losses[-1] < 0.5 * losses[0]
    assert not torch.equal(before, student.early.weight)


def test_feature_points_may_be_named_in_any_order() -> None:
    student, teacher = models()
    backwards = DistillConfig(feature_points=("late", "early"))
    distill(student, teacher, samples(), ClassTask(), backwards, FIT.model_copy(update={"epochs": 1}))


@pytest.mark.parametrize("points", [("fusion",), ("early", "nowhere")])
def test_an_unknown_feature_point_is_refused(points: tuple[str, ...]) -> None:
    student, teacher = models()
    with pytest.raises(ConfigError, match=points[-1]):
        distill(student, teacher, samples(), ClassTask(), DistillConfig(feature_points=points), FIT)
    assert not student.early._forward_hooks


def test_a_feature_point_that_is_no_map_is_refused() -> None:
    student, teacher = models()
    with pytest.raises(ConfigError, match="head"):
        distill(student, teacher, samples(), ClassTask(), DistillConfig(feature_points=("head",)), FIT)
