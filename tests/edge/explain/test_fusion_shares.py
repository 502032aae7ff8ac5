"""The fusion's own account of its weights."""

from __future__ import annotations

import pytest
import torch

from edge.explain.coalitions import collect_answers
from edge.explain.fusion_shares import weight_shares
from edge.models.fusion.choice import WeighingFusion
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.training.fusion_task import FusionTask
from tests.edge.explain.planted import draws_of, sample_set, table_io

IO = table_io({"left": 2, "right": 2, "third": 2})


def model_with(kind: str) -> FusionModel:
    torch.manual_seed(0)
    encoders = {stream: {"kind": "table", "hidden": [16]} for stream in ("left", "right", "third")}
    fusion = {"kind": kind, "channels": 16}
    return FusionModel(FusionModelConfig.model_validate({"encoders": encoders, "fusion": fusion}), IO).eval()


@pytest.mark.parametrize("kind", ["weighted_sum", "modality_attention", "cross_attention", "gated_residual"])
def test_shares_add_up_by_class_too_and_are_none_of_what_is_absent(kind: str) -> None:
    model = model_with(kind)
    if not isinstance(model.fusion, WeighingFusion):
        pytest.skip(f"{kind} weighs nothing")
    available = torch.ones(40, 3)
    available[:, 2] = 0
    random = torch.Generator().manual_seed(0)
    data = sample_set(
        [torch.randn(40, 2, generator=random) for _ in range(3)], torch.arange(40) % 2, available=available
    )
    answers = collect_answers(model, data, FusionTask(IO), IO)
    found = weight_shares(model, data, answers, draws_of(data))
    assert found is not None
    assert sum(q.value for q in found.mean.values()) == pytest.approx(100, abs=1e-3)
    assert found.mean["third"].value == pytest.approx(0, abs=1e-4)
    assert set(found.classes) == {"no", "yes"}
    assert all(sum(shares.values()) == pytest.approx(100, abs=1e-3) for shares in found.classes.values())


def test_a_fusion_that_weighs_nothing_has_no_account() -> None:
    model = model_with("channel_mixing")
    data = sample_set([torch.zeros(4, 2)] * 3, torch.arange(4) % 2)
    answers = collect_answers(model, data, FusionTask(IO), IO)
    assert weight_shares(model, data, answers, draws_of(data)) is None
