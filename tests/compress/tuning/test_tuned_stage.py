"""The stage `quantize` with `tune`: its graphs, its record, its replay, and what a recipe may ask of it."""

from __future__ import annotations

import copy
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml

from edge.compress.recipe import Recipe, load_recipe, run_recipe
from edge.compress.stages.measure import MeasuredStage, StageMeasurer
from edge.compress.stages.origin import common_origin
from edge.compress.stages.stage import Artifact, CompressionContext, QuantizeStage, apply_stage
from edge.compress.stages.store import StageStore
from edge.runtime.errors import ConfigError
from tests.compress.quantize.hard_cases import Separable
from tests.compress.tuning.pattern_task import PatternNet, PatternTask, float_net, pattern_set

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

CLIPPING = {"observer": "percentile", "percentile": 90, "bias_correction": False}
TUNE = {"teacher": "float", "fit": {"epochs": 2, "learning_rate": 2e-3}}
QUANTIZE = {"stage": "quantize", "samples": 64, "quantize": CLIPPING}
SPLITS = (pattern_set(count=384), pattern_set("validation", 40, 2), pattern_set("test", 40, 1))
MEASURE = StageMeasurer(PatternTask(), SPLITS[1], SPLITS[2], ("image", "present"), ("classes",))


def context(teacher: nn.Module | None = None) -> CompressionContext:
    return CompressionContext(PatternTask(), SPLITS[0], teacher or float_net(), lambda: PatternNet(Separable()))


def stage(**changes: Any) -> QuantizeStage:
    return QuantizeStage.model_validate({**QUANTIZE, "tune": TUNE, **changes})


def run(recipe: Recipe, folder: Path) -> tuple[MeasuredStage, list[str]]:
    """The quantized stage, and which stages were resumed."""
    teacher = float_net()
    store = StageStore(folder, common_origin(teacher.state_dict(), SPLITS, {}), False)
    first = store.recall_first("teacher", teacher)
    if first is None:
        first = MEASURE(Artifact("teacher", teacher), None, 1.0, None)
        store.keep_first(first)
    [made] = run_recipe(recipe, first, context(teacher), MEASURE, store)
    return made, store.resumed


@pytest.mark.integration
@pytest.mark.parametrize("bits", [8, 7])
def test_a_recipe_tunes_writes_every_dialect_and_replays_to_the_byte(bits: int, tmp_path: Path) -> None:
    wanted = {**QUANTIZE, "quantize": {**CLIPPING, "weight_bits": bits}, "tune": TUNE}
    made, _ = run(Recipe.model_validate({"stages": [wanted]}), tmp_path / "work")
    notes = made.record.notes
    assert notes["tuning"]["kept"] == "tuned" and notes["tuning"]["held_back"] == 40
    assert set(notes["loss_parts"]["last_epoch"]) == {"labels", "logits"}
    assert set(made.graphs) == {"s8", "u8", "s8f16"} and made.program is not None
    assert notes["u8_agrees_with_s8"] == 1.0 and notes["s8f16_agrees_with_s8"] == 1.0
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"stages": [made.record.config]}))
    torch.rand(3)  # other random numbers than the first run found
    again, resumed = run(load_recipe(path), tmp_path / "elsewhere")
    assert resumed == []
    assert again.graphs == made.graphs and again.program == made.program
    assert {**again.record.notes} == {**notes}


@pytest.mark.integration
def test_a_finished_stage_is_taken_up_and_another_tuning_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = run(Recipe(stages=(stage(),)), tmp_path)
    back, resumed = run(Recipe(stages=(stage(),)), tmp_path)
    assert resumed == ["teacher", "quantize"] and back.graphs == made.graphs
    with caplog.at_level(logging.WARNING):
        other, resumed = run(Recipe(stages=(stage(tune={**TUNE, "scales": "fixed"}),)), tmp_path)
    assert resumed == ["teacher"] and other.graphs["s8"] != made.graphs["s8"]
    assert "tune.scales was learned, is fixed" in caplog.text


def test_the_float_model_teaches_without_being_touched() -> None:
    """Where it is the stage before, whose weights the next report still measures; the recipe's own teacher is bad."""
    model, wrong = float_net(), PatternNet(Separable()).eval()
    before = copy.deepcopy(model.state_dict())
    made = apply_stage(stage(), Artifact("prune", model), context(wrong))
    assert made.notes["tuning"]["kept"] == "tuned"
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    from_recipe = stage(tune={**TUNE, "teacher": "recipe"})
    misled = apply_stage(from_recipe, Artifact("prune", float_net()), context(wrong))
    assert misled.notes["tuning"]["tuned"]["labels"] > made.notes["tuning"]["tuned"]["labels"]


def test_layers_that_a_plan_keeps_wide_are_tuned_as_floats() -> None:
    rules = [{"layers": "net.head", "precision": "fp16"}, {"layers": "*", "precision": "int8"}]
    plan = {"rules": rules}
    made = apply_stage(stage(plan=plan), Artifact("prune", float_net()), context())
    assert made.settings is not None and made.settings.keep_float
    int8 = [v for _, v in made.model.named_buffers() if v.dtype == torch.int8]
    assert len(int8) == 7 and made.notes["tuning"]["kept"] == "tuned"
    heads = [v for name, v in made.model.state_dict().items() if name.endswith("head.weight")]
    assert len(heads) == 1 and not torch.equal(heads[0], float_net().net.head.weight)


def test_without_the_key_nothing_is_tuned() -> None:
    made = apply_stage(QuantizeStage.model_validate(QUANTIZE), Artifact("prune", float_net()), context())
    assert made.notes == {}


def test_tuning_follows_equalised_and_learned_rounding() -> None:
    tools = {"equalize": "activations", "rounding": "adaptive", "adaptive": {"iterations": 20, "samples": 32}}
    made = apply_stage(stage(quantize={**CLIPPING, **tools}), Artifact("prune", float_net()), context())
    assert made.notes["tuning"]["kept"] == "tuned"


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"fit": {"epochs": 0}}, r"tune\.fit\.epochs: Input should be greater than or equal to 1"),
        ({"fit": {"precision": "bfloat16"}}, r"tune\.fit\.precision"),
        ({"fit": {"epoch": 3}}, r"no key 'tune\.fit\.epoch': did you mean 'epochs'\?"),
        ({"teacher": "student"}, r"tune\.teacher: Input should be 'recipe' or 'float'"),
        ({"held_back": 1}, r"tune\.held_back"),
        ({"distill": {"labels": 0, "logits": 0}}, "nothing is left to learn from: set one above 0"),
        ({"distill": {"features": 1}}, r"no key 'tune\.distill\.features'"),
    ],
)
def test_a_recipe_that_asks_for_the_impossible_names_the_key(tune: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"stages": [{"stage": "quantize", "tune": tune}]}))
    with pytest.raises(ConfigError) as refused:
        load_recipe(path)
    assert re.search(message, f"{refused.value.problem}: {refused.value.remedy}")


def test_an_empty_key_takes_every_default() -> None:
    found = QuantizeStage.model_validate({"stage": "quantize", "tune": {}}).tune
    assert found is not None and (found.teacher, found.scales, found.fit.epochs) == ("recipe", "learned", 2)
