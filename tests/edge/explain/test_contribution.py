"""Contributions of modalities, on tiny trained models whose information was put where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edge.compress.fitting import FitConfig, fit
from edge.explain.coalitions import MOST_MODALITIES, collect_answers
from edge.explain.contribution import contributions_of_classes, score_contribution, truth_contribution
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.errors import ConfigError
from edge.training.fusion_task import FusionTask
from tests.edge.explain.planted import draws_of, sample_set, table_io

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.explain.coalitions import Answers

IO = table_io({"left": 2, "right": 2})


def drawn(rule: Callable[[Tensor, Tensor], Tensor], split: str, seed: int, *, twins: bool = False) -> SampleSet:
    random = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(600, 2, generator=random) for _ in range(2))
    if twins:
        right = left + 0.05 * right
    recordings = [f"{split}{at // 4}" for at in range(600)]
    return sample_set([left, right], rule(left, right), recordings, split=split)


def trained_on(rule: Callable[[Tensor, Tensor], Tensor], *, twins: bool = False) -> tuple[SampleSet, Answers]:
    """A small fusion model of two tables, trained with modality dropout on what `rule` says is true."""
    torch.manual_seed(0)
    encoder = {"kind": "table", "hidden": [24]}
    config = FusionModelConfig.model_validate(
        {"encoders": {"left": encoder, "right": encoder}, "fusion": {"channels": 24}}
    )
    model, task = FusionModel(config, IO), FusionTask(IO)
    fitting = FitConfig(epochs=16, batch_size=50, learning_rate=0.02, precision="float32")
    train = drawn(rule, "train", 1, twins=twins)
    fit(model, train, lambda inputs, targets: task.loss(model(*inputs), targets), fitting)
    test = drawn(rule, "test", 2, twins=twins)
    return test, collect_answers(model, test, task, IO)


def test_a_modality_that_carries_everything_gets_all_the_credit() -> None:
    data, answers = trained_on(lambda left, right: (left[:, 0] > 0).long())
    draws = draws_of(data)
    for found in (score_contribution(answers, draws), truth_contribution(answers, draws)):
        gain = found.complete.value - found.blind
        assert gain > 35
        assert found.modalities["left"].value > 0.93 * gain
        assert abs(found.modalities["right"].value) < 0.07 * gain
        left = found.modalities["left"].interval
        assert left is not None and left.low > 30
        assert sum(q.value for q in found.modalities.values()) == pytest.approx(gain, abs=1e-9)


def test_modalities_that_only_tell_together_are_synergetic() -> None:
    """Whether two signs agree: neither side alone says anything."""
    data, answers = trained_on(lambda left, right: ((left[:, 0] > 0) == (right[:, 0] > 0)).long())
    found = score_contribution(answers, draws_of(data))
    assert found.complete.value > 85
    assert found.pairs[0].together == "synergetic"
    assert found.pairs[0].index.value > 25


def test_modalities_that_say_the_same_are_redundant_and_share_the_credit() -> None:
    data, answers = trained_on(lambda left, right: (left[:, 0] > 0).long(), twins=True)
    found = score_contribution(answers, draws_of(data))
    assert found.pairs[0].together == "redundant"
    left, right = (found.modalities[m].value for m in ("left", "right"))
    assert left == pytest.approx(right, abs=4)


def test_contributions_of_classes_are_of_their_samples() -> None:
    """Class `yes` shows in the left side only, `no` in neither: a model that says no unless told otherwise."""
    labels = torch.tensor([0, 1] * 50)
    left = labels[:, None].float().repeat(1, 2)
    data = sample_set([left, torch.zeros(100, 2)], labels)

    def run(seen: Tensor, other: Tensor, present: Tensor) -> tuple[Tensor]:
        yes = 8.0 * seen[:, 0] - 4.0
        return (torch.stack([-yes, yes], 1) / 2,)

    answers = collect_answers(run, data, FusionTask(IO), IO)
    by_class = {c.class_name: c for c in contributions_of_classes(answers, draws_of(data))}
    assert [by_class[name].samples for name in ("no", "yes")] == [50, 50]
    # yes: 98.2 with left, 1.8 with right alone, 50 with nothing; no: 98.2 with either or both
    assert by_class["yes"].modalities["left"].value == pytest.approx((98.2 - 50 + 98.2 - 1.8) / 2, abs=0.1)
    assert by_class["no"].modalities["left"].value == pytest.approx((98.2 - 50) / 2, abs=0.1)


def test_what_a_sample_lacks_contributes_nothing_to_it() -> None:
    labels = torch.tensor([0, 1] * 40)
    side = labels[:, None].float().repeat(1, 2)
    available = torch.ones(80, 2)
    available[:, 1] = 0.0
    data = sample_set([side, side], labels, available=available)
    asked: list[Tensor] = []

    def run(left: Tensor, right: Tensor, present: Tensor) -> tuple[Tensor]:
        asked.append(present)
        yes = 8.0 * (left + right)[:, 0] - 4.0
        return (torch.stack([-yes, yes], 1) / 2,)

    answers = collect_answers(run, data, FusionTask(IO), IO)
    found = score_contribution(answers, draws_of(data))
    assert found.modalities["right"].value == 0.0
    assert found.modalities["left"].value == pytest.approx(50.0)
    assert all(float(present[:, 1].sum()) == 0 and bool(present.any(1).all()) for present in asked)


def test_the_prior_knows_only_frequencies() -> None:
    labels = torch.tensor([1] * 30 + [0] * 10)
    data = sample_set([torch.zeros(40, 2)] * 2, labels)
    answers = collect_answers(lambda a, b, present: (torch.zeros(len(a), 2),), data, FusionTask(IO), IO)
    blind = answers.states["blind"]
    np.testing.assert_allclose(blind.truth, [0.75] * 30 + [0.25] * 10, rtol=1e-6)
    assert float(answers.score(blind.metric.sum(0))) == 75.0


def test_too_many_modalities_are_refused() -> None:
    streams = {f"s{at}": 1 for at in range(MOST_MODALITIES + 1)}
    model_io = table_io(streams)
    data = sample_set([torch.zeros(4, 1)] * len(streams), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ConfigError, match=r"2,048 subsets.*at most 10"):
        collect_answers(lambda *_: (torch.zeros(4, 2),), data, FusionTask(model_io), model_io)
