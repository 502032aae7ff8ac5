"""Recipes are checked before anything runs, and run in order until a gate refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from torch import nn

from edge.compress.recipe import Recipe, load_recipe, run_recipe
from edge.compress.samples import SampleSet
from edge.compress.stages.judging import StageRefusedError
from edge.compress.stages.measure import MeasuredStage
from edge.compress.stages.record import StageRecord
from edge.compress.stages.stage import Artifact, CompressionContext, StageConfig, apply_stage
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_the_default_recipe_distils_prunes_and_quantizes() -> None:
    assert [s.name for s in Recipe().stages] == ["student", "prune", "quantize"]


@pytest.mark.parametrize(
    "stages",
    [
        [{"stage": "quantize"}, {"stage": "prune"}],
        [{"stage": "prune"}, {"stage": "distill"}],
        [{"stage": "quantize", "name": "a"}, {"stage": "quantize", "name": "b"}],
        [{"stage": "sparsify", "name": "a"}, {"stage": "sparsify", "name": "b"}],
        [{"stage": "sparsify"}, {"stage": "prune"}],
        [{"stage": "quantize"}, {"stage": "sparsify"}],
        [{"stage": "sparsify", "sparsify": {"align": 6}}],
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


@pytest.mark.parametrize(
    ("stages", "problem", "remedy"),
    [
        (
            [{"stage": "quantize"}, {"stage": "prune"}],
            "'prune' (prune) cannot follow 'quantize' (quantize)", "distil, then prune",
        ),
        (
            [{"stage": "prune", "name": "a"}, {"stage": "distill"}],
            "'student' (distill) cannot follow 'a' (prune)", "distil, then prune",
        ),
        (
            [{"stage": "sparsify"}, {"stage": "prune"}],
            "'prune' (prune) cannot follow 'sparsify' (sparsify)", "then prune, then sparsify once, then quantize once",
        ),
        ([{"stage": "prune"}, {"stage": "prune"}], "two stages are called 'prune'", "give each a `name`"),
        ([{"stage": "prune", "gate": {"max_lose": 1}}], "stage 1 ('prune') has no key 'gate.max_lose'", "'max_loss'"),
        (
            [{"stage": "distill"}, {"stage": "prune", "prune": {"macs_ration": 0.5}}],
            "stage 2 ('prune') has no key 'prune.macs_ration'", "'macs_ratio'",
        ),
        ([{"stage": "prune", "xyz": 1}], "has no key 'xyz'", "use one of name, gate, stage, prune"),
        ([{"stage": "melt"}], "stage 1 ('melt') is of no kind that is known", "distill, prune, sparsify, quantize"),
        ([{"stage": "quantize", "samples": 0}], "stage 1 ('quantize').samples: Input should be", "mend that key"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_names_stage_and_key(
    stages: list[dict[str, Any]], problem: str, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"stages": stages}))
    with pytest.raises(ConfigError) as refusal:
        load_recipe(path)
    assert str(path) in refusal.value.problem and problem in refusal.value.problem
    assert remedy in refusal.value.remedy
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ["[1, 2]", "stages: 3", "stages: [3]", "", "stage: prune", "recipe: {stages: []}"])
def test_a_file_that_is_no_recipe_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        load_recipe(tmp_path / "recipe.yaml")


def test_the_recipe_of_a_whole_project_is_read(tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"stages": [{"stage": "prune", "gate": {"limits": {"all": {"score": 1}}}}]})
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"schema": 1, "name": "x", "recipe": recipe.model_dump(mode="json")}))
    assert load_recipe(path) == recipe
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(path) == recipe


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
    with pytest.raises(StageRefusedError, match=r"'second' loses 1\.50 points") as refusal:
        for name in run(*stages):
            passed.append(name)
    assert passed == ["first"]
    assert refusal.value.exit_code == 3
    refused = refusal.value.stage.record
    assert refused.name == "second" and refused.gate is not None and refused.gate.verdict == "refused"


@pytest.mark.parametrize(
    ("gate", "named"), [({"limits": {"no_sonar": {"score": 1}}}, "no_sonar"), ({"min_speedup": 2}, "min_speedup")]
)
def test_a_gate_that_cannot_be_judged_is_refused_before_anything_runs(gate: dict[str, Any], named: str) -> None:
    stages = (HalvingStage(name="first"), HalvingStage.model_validate({"name": "second", "gate": gate}))
    ran = run(*stages)
    with pytest.raises(ConfigError, match=named):
        next(ran)


def test_an_unregistered_stage_is_named() -> None:
    class Unknown(StageConfig):
        order = 1
        stage: str = "unknown"

    with pytest.raises(ConfigError, match="Unknown"):
        list(run(Unknown(name="x")))
