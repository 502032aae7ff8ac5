"""Teaching: the student moves towards its teacher, the teacher stays, a lacking branch is not taught, parts add up."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from edge.compress.distill.config import BranchConfig, DistillConfig
from edge.compress.distill.features import FeatureComparison
from edge.compress.distill.lesson import mean_where
from edge.compress.distill.outputs import imitation_loss
from edge.compress.distill.points import FeaturePoint
from edge.compress.distill.teaching import teach
from edge.compress.fitting import FitConfig
from edge.compress.samples import draw_present, mask_modalities
from edge.runtime.errors import ConfigError
from tests.compress.distill.small_models import ClassTask, Patches, Small, TwoBranches, two_classes

FIT = FitConfig(epochs=6, batch_size=16, learning_rate=0.02, precision="float32", modality_dropout=0.0)
TWO = ClassTask("image", "sound")


def models() -> tuple[Small, Small]:
    torch.manual_seed(3)
    return Small(4), Small(8)


def two_branches() -> tuple[TwoBranches, TwoBranches]:
    torch.manual_seed(3)
    return TwoBranches(2), TwoBranches(4)


def test_the_student_learns_to_answer_as_the_teacher_does() -> None:
    student, teacher = models()
    data = two_classes()
    inputs = (*data.inputs, torch.ones(len(data), 1))
    wanted = teacher.eval()(*inputs)

    def distance() -> float:
        return float(imitation_loss(student.eval()(*inputs), wanted, ["categorical"], 1.0).detach())

    before = distance()
    only_logits = DistillConfig(labels=0, features=0)
    teach(student, teacher, data, ClassTask(), only_logits, FIT)
    assert not student.training
    assert distance() < 0.1 * before


def test_the_teacher_stays_as_it_was() -> None:
    student, teacher = models()
    before = copy.deepcopy(teacher.state_dict())
    teach(student, teacher.train(), two_classes(), ClassTask(), DistillConfig(feature_points=("late",)), FIT)
    after = teacher.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items()), "batch statistics included"


@pytest.mark.parametrize("point", ["early", "head"])
def test_features_of_other_widths_are_pulled_together(point: str) -> None:
    student, teacher = models()
    only_features = DistillConfig(labels=0, logits=0, features=1, feature_points=(point,))
    before = student.early.weight.detach().clone()
    history = teach(student, teacher, two_classes(), ClassTask(), only_features, FIT)
    assert set(history.last) == {f"features {point}"}
    assert history.last[f"features {point}"] < 0.5 * history.first[f"features {point}"]
    assert not torch.equal(before, student.early.weight)


def test_a_teacher_of_tokens_teaches_a_student_of_maps() -> None:
    torch.manual_seed(3)
    pairs = DistillConfig(labels=0, logits=0, features=1, feature_points={"early": "layers.0", "late.1": "layers.1"})
    history = teach(Small(4), Patches(), two_classes(), ClassTask(), pairs, FIT)
    for part, value in history.last.items():
        assert value < 0.7 * history.first[part], part


def test_feature_points_may_be_named_in_any_order() -> None:
    student, teacher = models()
    backwards = DistillConfig(feature_points=("late", "early"))
    history = teach(student, teacher, two_classes(), ClassTask(), backwards, FIT)
    assert list(history.last) == ["labels", "logits", "features late", "features early"]


def test_every_branch_is_pulled_towards_the_teachers() -> None:
    student, teacher = two_branches()
    config = DistillConfig(labels=0, logits=0, features=0, branches=BranchConfig(points=("branches.*",), weight=1.0))
    history = teach(student, teacher, two_classes(2), TWO, config, FIT)
    for part in ("branch branches.image", "branch branches.sound"):
        assert history.last[part] < 0.8 * history.first[part]


def test_a_branch_of_weight_zero_learns_nothing() -> None:
    student, teacher = two_branches()
    before = {name: p.detach().clone() for name, p in student.named_parameters()}
    branches = BranchConfig(points=("branches.*",), weights={"image": 0.0})
    decay_off = FIT.model_copy(update={"weight_decay": 0.0})
    config = DistillConfig(labels=0, logits=0, features=0, branches=branches)
    teach(student, teacher, two_classes(2), TWO, config, decay_off)
    moved = {name for name, p in student.named_parameters() if not torch.equal(p, before[name])}
    assert {name for name in moved if name.startswith("branches")} == {f"branches.sound.{n}" for n in _trained("sound")}


def _trained(branch: str) -> set[str]:
    return {name for name, _ in TwoBranches(2).branches[branch].named_parameters()}


def test_a_sample_without_the_modality_teaches_its_branch_nothing() -> None:
    student, teacher = two_branches()
    untrained, data = copy.deepcopy(student).train(), two_classes(2)
    # One step over all samples, nearly all of which lack one of the two.
    once = FIT.model_copy(update={"modality_dropout": 1.0, "epochs": 1, "batch_size": len(data)})
    torch.manual_seed(5)
    branches = BranchConfig(points=("branches.*",), weight=1.0)
    history = teach(student, teacher, data, TWO, DistillConfig(labels=0, logits=0, features=0, branches=branches), once)
    generator, expected = torch.Generator().manual_seed(once.seed), {}
    (rows,) = data.batch_rows(len(data), generator)
    inputs = mask_modalities(data.rows(rows)[0], draw_present(len(data), 2, 1.0, generator))
    torch.manual_seed(5)
    for i, name in enumerate(("image", "sound")):
        own, shown = untrained.branches[name](inputs[i]), teacher.branches[name](inputs[i])
        compare = FeatureComparison(FeaturePoint("", "", "", 1.0), tuple(own.shape), tuple(shown.shape))
        there = inputs[2][:, i] == 1
        assert 10 < there.sum() < 60
        expected[f"branch branches.{name}"] = float(compare(own, shown)[there].mean().detach())
    assert history.first == pytest.approx(expected, rel=1e-4)


def test_a_branch_that_no_sample_has_adds_nothing() -> None:
    absent, distances = torch.zeros(3, 2), torch.ones(3, requires_grad=True)
    loss = mean_where(distances, 1, absent)
    loss.backward()
    assert float(loss.detach()) == 0
    assert distances.grad is not None
    assert distances.grad.eq(0).all()


def test_parts_add_up_to_the_loss_and_the_record_keeps_first_and_last() -> None:
    student, teacher = two_branches()
    losses: list[float] = []
    config = DistillConfig(feature_points=("branches.image",), branches=BranchConfig(points=("branches.*",)))
    history = teach(student, teacher, two_classes(2), TWO, config, FIT, lambda _d, _s, loss: losses.append(loss))
    assert len(history.epochs) == FIT.epochs
    for epoch, parts in enumerate(history.epochs):
        assert sum(parts.values()) == pytest.approx(sum(losses[4 * epoch : 4 * epoch + 4]) / 4, rel=1e-5)
    assert history.notes() == {"first_epoch": history.epochs[0], "last_epoch": history.epochs[-1]}
    assert len(history.first) == 5, "labels, logits, one feature point and two branches"


def test_what_weighs_nothing_is_no_part() -> None:
    student, teacher = models()
    history = teach(student, teacher, two_classes(), ClassTask(), DistillConfig(logits=0, features=0), FIT)
    assert set(history.last) == {"labels"}


class _Aside(Patches):
    """Gives three of its ten tokens to a module."""

    def __init__(self) -> None:
        super().__init__()
        self.aside = nn.Identity()

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        self.aside(self.embed(x).flatten(2).transpose(1, 2)[:, :3])
        return super().forward(x, present)


def test_feature_points_that_cannot_be_compared_are_refused_and_leave_no_hook() -> None:
    student, teacher = Small(4), _Aside()
    pair = DistillConfig(feature_points={"early": "aside"})
    with pytest.raises(ConfigError, match="'early' of the student and 'aside' of the teacher give"):
        teach(student, teacher, two_classes(), ClassTask(), pair, FIT)
    assert not student.early._forward_hooks
    assert not teacher.aside._forward_hooks
