"""Branches that are aligned or answer alone: what the loss is made of, whom gradients reach, what stays as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edge.training.alignment import AlignmentConfig
from edge.training.branch_training import BranchTraining, supervised
from edge.training.fusion_task import FusionTask
from tests.edge.training.pretraining.cases import small_io, small_model, small_samples

if TYPE_CHECKING:
    from torch import Tensor

THERE = torch.tensor([[1.0, 1], [1, 0], [0, 1], [1, 1]] * 2)
WEIGHT = 0.5


def batch() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    data = small_samples(8)
    seen = tuple(x * THERE[:, i].reshape(-1, 1, 1, 1) for i, x in enumerate(data.inputs))
    return (*seen, THERE), data.targets


def masked(inputs: tuple[Tensor, ...], rows: Tensor, place: int) -> tuple[Tensor, ...]:
    present = torch.zeros(len(rows), 2)
    present[:, place] = 1
    return (*(x[rows] * present[:, i].reshape(-1, 1, 1, 1) for i, x in enumerate(inputs[:-1])), present)


def test_unimodal_adds_each_samples_answers_by_one_modality() -> None:
    model, task, (inputs, targets) = small_model().eval(), FusionTask(small_io()), batch()
    both = (THERE.sum(1) == 2).nonzero().flatten()
    alone = torch.stack([task.loss(model(*masked(inputs, both, i)), [t[both] for t in targets]) for i in range(2)])
    expected = (task.loss(model(*inputs), targets) + WEIGHT * len(both) / len(THERE) * alone.sum()) / (1 + 2 * WEIGHT)
    assert torch.allclose(BranchTraining(model, task, unimodal=WEIGHT)(inputs, targets), expected, atol=1e-5)


def test_what_is_seen_with_one_modality_is_not_asked_twice() -> None:
    model, task, (inputs, targets) = small_model().eval(), FusionTask(small_io()), batch()
    rows = (THERE.sum(1) == 1).nonzero().flatten()
    inputs, targets = tuple(x[rows] for x in inputs), tuple(t[rows] for t in targets)
    found = BranchTraining(model, task, unimodal=WEIGHT)(inputs, targets)
    assert torch.allclose(found, task.loss(model(*inputs), targets) / (1 + 2 * WEIGHT), atol=1e-6)


def test_each_encoder_runs_once() -> None:
    model, (inputs, targets) = small_model(), batch()
    calls: list[int] = []
    model.get_submodule("branches.camera.encoder").register_forward_hook(lambda _m, x, _y: calls.append(len(x[0])))
    BranchTraining(model, FusionTask(small_io()), unimodal=WEIGHT)(inputs, targets).backward()
    assert calls == [len(THERE)]
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_alignment_is_added_to_the_loss_on_labels() -> None:
    model, task, (inputs, targets) = small_model().eval(), FusionTask(small_io()), batch()
    training = BranchTraining(model, task, AlignmentConfig(weight=0.5))
    assert training.alignment is not None
    features = dict(zip(model.modalities, model.branch_features(*inputs), strict=True))
    apart = training.alignment(features, dict(zip(model.modalities, THERE.unbind(1), strict=True)))
    expected = task.loss(model(*inputs), targets) + apart["camera ~ sound"]
    assert torch.allclose(training(inputs, targets), expected, atol=1e-5)


@pytest.mark.parametrize(("alignment", "unimodal"), [(None, 0.0), (None, 0.5), (AlignmentConfig(), 0.0)])
def test_only_what_is_asked_for_is_trained(alignment: AlignmentConfig | None, unimodal: float) -> None:
    model, task, (inputs, targets) = small_model().eval(), FusionTask(small_io()), batch()
    trained, objective = supervised(model, task, alignment, unimodal)
    names = {name for name, _ in trained.named_parameters() if "alignment" in name}
    assert bool(names) is (alignment is not None)
    assert (trained is model) is (alignment is None and not unimodal)
    if trained is model:
        assert torch.equal(objective(inputs, targets), task.loss(model(*inputs), targets))
