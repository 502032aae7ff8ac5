"""Recipes are checked before anything runs, and run in order until a gate refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from edge.compress.measure import MeasuredStage
from edge.compress.recipe import Recipe, run_recipe
from edge.compress.record import StageRecord
from edge.compress.samples import SampleSet
from edge.compress.stage import Artifact, CompressionContext, StageConfig, apply_stage
from edge.runtime.errors import ConfigError, GateError

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_default_recipe_distils_prunes_and_quantizes() -> None:
    assert [s.name for s in Recipe().stages] == ["student", "prune", "quantize"]


@pytest.mark.parametrize(
    "stages",
    [
        [{"stage": "quantize"}, {"stage": "prune"}],
        [{"stage": "prune"}, {"stage": "distill"}],
        [{"stage": "quantize", "name": "a"}, {"stage": "quantize", "name": "b"}],
        [{"stage": "prune"}, {"stage": "prune"}],
        [{"stage": "distill", "name": "teacher"}],
        [{"stage": "prune", "unknown_key": 1}],
        [{"stage": "melt"}],
        [],
    ],
)
def test_impossible_recipes_are_refused(stages: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({"stages": stages})


class HalvingStage(StageConfig):
    """Halves the size, and loses the points that it is told to."""

    order = 1
    stage: str = "halve"
    loses: float = 0.0


@apply_stage.register(HalvingStage)
def _(config: HalvingStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    return replace(artifact, name=config.name)


def measure(
    artifact: Artifact, config: StageConfig | None, seconds: float, before: MeasuredStage | None
) -> MeasuredStage:
    score, size = 80.0, 1024
    if before is not None and isinstance(config, HalvingStage):
        score = before.record.gate_metrics["all"]["score"] - config.loses
        size = before.record.bytes // 2
    metrics = {"all": {"score": score}}
    record = StageRecord(
        name=artifact.name,
        config={},
        params=1,
        macs=1,
        bytes=size,
        seconds=seconds,
        metrics=metrics,
        gate_metrics=metrics,
    )
    return MeasuredStage(artifact, {"fp32": b""}, record)


def run(*stages: StageConfig) -> Iterator[str]:
    model = nn.Identity()
    data = SampleSet("train", ("a",), ("a",), (torch.zeros(1, 1),), ())
    context = CompressionContext(task=None, train=data, teacher=model, build_student=lambda: model)  # type: ignore[arg-type]
    recipe = Recipe.model_construct(stages=stages)  # type: ignore[arg-type]
    teacher = measure(Artifact("teacher", model), None, 0.0, None)
    for stage in run_recipe(recipe, teacher, context, measure):
        yield stage.record.name


def test_stages_run_in_order() -> None:
    assert list(run(HalvingStage(name="first"), HalvingStage(name="second"))) == ["first", "second"]


def test_a_refused_stage_ends_the_run_after_those_that_passed() -> None:
    gate = {"max_loss": 1.0, "min_shrink": 2.0}
    stages = (
        HalvingStage.model_validate({"name": "first", "gate": gate}),
        HalvingStage.model_validate({"name": "second", "gate": gate, "loses": 1.5}),
    )
    passed = []
    with pytest.raises(GateError, match="'second'"):
        for name in run(*stages):
            passed.append(name)
    assert passed == ["first"]


def test_an_unregistered_stage_is_named() -> None:
    class Unknown(StageConfig):
        order = 1
        stage: str = "unknown"

    with pytest.raises(ConfigError, match="Unknown"):
        list(run(Unknown(name="x")))
