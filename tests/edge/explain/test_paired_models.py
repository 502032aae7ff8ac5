"""Two models on the same samples: who lost by compression."""

from __future__ import annotations

import numpy as np
import pytest

from edge.explain.coalitions import collect_answers
from edge.explain.config import BiasConfig
from edge.explain.paired_models import compare_models
from edge.runtime.errors import DataError
from edge.training.fusion_task import FusionTask
from tests.edge.explain.planted import answering, draws_of, sample_set, table_io

CONFIG = BiasConfig(attributes=("speaker",))


def test_the_group_that_lost_is_named_and_the_others_are_not() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 900)
    speaker = np.repeat(["ann", "bob", "eve"], 300)
    hard = random.random(900) < 0.1
    hurt = hard | ((speaker == "eve") & (random.random(900) < 0.15))
    attributes = {"speaker": list(speaker)}
    data, before, _ = answering(hard, labels, attributes=attributes)
    _, after, _ = answering(hurt, labels, attributes=attributes)
    found = compare_models("teacher", data, before, after, draws_of(data), CONFIG)
    lost = found.attributes[0]
    assert lost.groups["ann"].value == lost.groups["bob"].value == 0.0
    assert lost.groups["eve"].value == pytest.approx(13.5, abs=4)
    assert lost.most == "eve" and lost.gap is not None and lost.gap.low > 5
    whole = found.states["all"]
    assert whole.value == pytest.approx(lost.groups["eve"].value / 3, abs=1e-9)
    assert whole.interval is not None and whole.interval.low > 0
    assert found.contributions["told"].value == pytest.approx(-whole.value, abs=1e-9)


def test_equal_models_lose_nothing() -> None:
    labels = np.arange(200) % 2
    data, answers, _ = answering(labels > 2, labels, attributes={"speaker": ["a", "b"] * 100})
    found = compare_models("itself", data, answers, answers, draws_of(data), CONFIG)
    assert {q.value for q in found.states.values()} == {0.0}
    gap = found.attributes[0].gap
    assert gap is not None and gap.estimate == gap.low == 0.0


def test_models_of_other_tasks_are_refused() -> None:
    labels = np.arange(40) % 2
    data, answers, _ = answering(labels > 2, labels, attributes={"speaker": ["a", "b"] * 20})
    import torch

    model_io = table_io({"heard": 2})
    other_data = sample_set([torch.zeros(40, 2)], torch.from_numpy(labels))
    other = collect_answers(lambda heard, present: (heard,), other_data, FusionTask(model_io), model_io)
    with pytest.raises(DataError, match=r"modalities \['told'\].*compare models of one task"):
        compare_models("teacher", data, answers, other, draws_of(data), CONFIG)
