"""Feature points: names, pairs and stars become modules of both models; what is missing is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge.compress.distill.config import BranchConfig, DistillConfig
from edge.compress.distill.points import FeaturePoint, captured_outputs, resolve_points
from edge.runtime.errors import ConfigError
from tests.compress.distill.small_models import Patches, Small, TwoBranches


def pairs(config: DistillConfig, student: nn.Module, teacher: nn.Module) -> list[tuple[str, str]]:
    return [(p.student, p.teacher) for p in resolve_points(config, student, teacher, ("image", "sound"))]


def test_a_star_takes_every_module_that_fits_and_nothing_below() -> None:
    config = DistillConfig(feature_points=("late.*",))
    assert pairs(config, Small(2), Small(4)) == [("late.0", "late.0"), ("late.1", "late.1")]
    assert pairs(DistillConfig(feature_points=("*",)), Small(2), Small(4))[-1] == ("head", "head")


def test_what_a_star_stands_for_is_the_same_in_the_teacher() -> None:
    config = DistillConfig(feature_points={"late.*": "layers.*", "early": "embed"})
    expected = [("late.0", "layers.0"), ("late.1", "layers.1"), ("early", "embed")]
    assert pairs(config, Small(2), Patches()) == expected


def test_each_branch_knows_its_modality_and_weight() -> None:
    branches = BranchConfig(points=("branches.*",), weight=0.3, weights={"sound": 2.0})
    config = DistillConfig(features=0, branches=branches)
    assert resolve_points(config, TwoBranches(2), TwoBranches(4), ("image", "sound")) == (
        FeaturePoint("branch branches.image", "branches.image", "branches.image", 0.3, 0),
        FeaturePoint("branch branches.sound", "branches.sound", "branches.sound", 2.0, 1),
    )


def test_a_branch_of_weight_zero_is_left_out_and_names_bridge_other_words() -> None:
    branches = BranchConfig(points=("branches.*",), weights={"radar": 0}, names={"camera": "image"})
    points = resolve_points(
        DistillConfig(features=0, branches=branches), TwoBranches(2), TwoBranches(4), ("radar", "camera")
    )
    assert [(p.student, p.modality) for p in points] == [("branches.image", 1)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"feature_points": ("fusion",)}, r"\['fusion'\] are no modules of the student .*it has early, late, head"),
        ({"feature_points": ("early", "nowhere")}, r"\['nowhere'\] are no modules of the student"),
        ({"feature_points": {"early": "nowhere"}}, r"\['nowhere'\] are no modules of the teacher"),
        ({"feature_points": ("stages.*",)}, r"'stages.\*' matches no module of the student"),
        ({"feature_points": ("late.*", "late.1")}, "named twice"),
        ({"features": 0, "branches": {}}, r"'branches.image.encoder'.* are no modules"),
        ({"features": 0, "branches": {"weights": {"smell": 1}}}, r"branches name \['smell'\].*'image', 'sound'"),
    ],
)
def test_a_point_that_is_missing_is_named(content: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        pairs(DistillConfig.model_validate(content), Small(2), Small(4))


def test_outputs_are_those_of_the_last_call_and_hooks_go_again() -> None:
    model = Small(2).eval()
    with captured_outputs(model, ["early", "early"]) as captured:
        for value in (1.0, 2.0):
            model(torch.full((1, 1, 3, 3), value), torch.ones(1, 1))
        assert torch.equal(captured["early"], model.early(torch.full((1, 1, 3, 3), 2.0)))
    assert not model.early._forward_hooks


class _Giving(nn.Module):
    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self) -> object:
        return self.output


@pytest.mark.parametrize("form", [lambda t: (None, t), lambda t: {"last_hidden_state": t, "pooled": t + 1}, list])
def test_the_first_tensor_of_a_structured_output_counts(form: Any) -> None:
    wanted = torch.ones(1, 2)
    model = nn.Sequential(_Giving([wanted] if form is list else form(wanted)))
    with captured_outputs(model, ["0"]) as captured:
        model[0]()
    assert isinstance(captured["0"], Tensor)
    assert torch.equal(captured["0"], wanted)


def test_an_output_without_a_tensor_is_refused() -> None:
    model = nn.Sequential(_Giving("text"))
    with captured_outputs(model, ["0"]), pytest.raises(ConfigError, match="'0' gives no tensor but str"):
        model[0]()
