"""Precision plans: which rule counts for a layer, and what a bundle's stages make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.compress.precision_plan import PrecisionPlan, PrecisionRule, expanded, load_plan, plan_of_stages
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.stages.stage import PruneStage, QuantizeStage
from edge.runtime.errors import BundleError, ConfigError
from edge.runtime.manifest import StageEntry

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compress.precision_plan import PlannedPrecision

PATHS = st.lists(st.sampled_from(["encoders", "camera", "stem", "head", "0", "1"]), min_size=1, max_size=4)


def stage(name: str, config: dict[str, Any]) -> StageEntry:
    return StageEntry(name=name, params=1, macs=1, bytes=1, metrics={}, config=config)


def plan(*rules: tuple[str, PlannedPrecision], products: PlannedPrecision = "fp32") -> PrecisionPlan:
    return PrecisionPlan(rules=tuple(PrecisionRule(layers=g, precision=p) for g, p in rules), products=products)


def test_the_first_rule_that_matches_counts() -> None:
    made = plan(("encoders.audio.*", "fp16"), ("encoders.*", "int8"), ("encoders.audio.stem", "fp32"))
    assert made.of("encoders.audio.stem") == "fp16"
    assert made.of("encoders.camera.stem") == "int8"


def test_without_a_rule_layers_are_fp32() -> None:
    assert plan().of("head") == "fp32"
    assert plan(("head", "int8")).of("head.0") == "fp32"
    assert plan(("Head", "int8")).of("head") == "fp32"


def test_products_of_two_activations_follow_no_rule() -> None:
    assert plan(("*", "int8")).of("layers.0.attention", has_weight=False) == "fp32"
    assert plan(("*", "int8"), products="fp16").of("layers.0.attention", has_weight=False) == "fp16"


def test_int8_everywhere_but_in_modules_that_are_kept() -> None:
    made = PrecisionPlan.int8(("head", "encoders.*.stem"))
    assert made.of("encoders.camera.blocks.0.conv") == "int8"
    for kept in ("head", "head.0", "head.0.conv", "encoders.audio.stem", "encoders.audio.stem.0"):
        assert made.of(kept) == "fp32"
    assert made.of("header") == made.of("detection.head") == "int8"
    assert PrecisionPlan.int8(("head",), kept="fp16").of("head.0") == "fp16"


@given(path=PATHS, inside=PATHS)
def test_a_kept_module_keeps_all_that_lies_in_it_and_nothing_beside_it(path: list[str], inside: list[str]) -> None:
    glob = ".".join(path)
    made = PrecisionPlan.int8((glob,))
    assert made.of(glob) == made.of(".".join([*path, *inside])) == "fp32"
    assert made.of(f"{glob}x") == made.of(f"x{glob}") == "int8"


def test_globs_on_modules_become_globs_on_layers() -> None:
    assert expanded(("head", "encoders.*")) == ("head", "head.*", "encoders.*", "encoders.*.*")
    assert expanded(()) == ()


def test_stages_of_a_quantized_model_give_its_plan() -> None:
    quantize = QuantizeStage(quantize=QuantizeConfig(keep_float=("head",))).model_dump(mode="json")
    made = plan_of_stages([stage("teacher", {}), stage("quantize", quantize)])
    assert made == PrecisionPlan.int8(("head",))
    assert (made.of("head.0"), made.of("stem")) == ("fp32", "int8")


def test_the_last_quantization_counts() -> None:
    first, last = ({"stage": "quantize", "quantize": {"keep_float": [name]}} for name in ("stem", "head"))
    made = plan_of_stages([stage("a", first), stage("b", last), stage("c", PruneStage().model_dump(mode="json"))])
    assert (made.of("stem"), made.of("head")) == ("int8", "fp32")


@pytest.mark.parametrize("config", [{}, PruneStage().model_dump(mode="json"), {"stage": "mine", "quantize": {}}])
def test_without_quantization_nothing_is_asked_for(config: dict[str, Any]) -> None:
    assert plan_of_stages([stage("teacher", config)]) == plan_of_stages([]) == PrecisionPlan()


@pytest.mark.parametrize("settings", [None, {}, {"observer": "a later one"}])
def test_settings_that_keep_nothing_are_int8_everywhere(settings: object) -> None:
    assert plan_of_stages([stage("q", {"stage": "quantize", "quantize": settings})]).of("head") == "int8"


@pytest.mark.parametrize(
    "settings", ["head", ["head"], 3, {"keep_float": "head"}, {"keep_float": 3}, {"keep_float": [""]}]
)
def test_settings_of_a_forged_bundle_are_refused(settings: object) -> None:
    with pytest.raises(BundleError, match=r"stage 'q' does not say which layers it kept .*; pack the bundle again"):
        plan_of_stages([stage("q", {"stage": "quantize", "quantize": settings})])


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "rules:\n- {layers: 'encoders.*', precision: int8}\n- {layers: '*', precision: fp16}\nproducts: fp16\n"
    )
    assert load_plan(path) == plan(("encoders.*", "int8"), ("*", "fp16"), products="fp16")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [{layers: '*', precision: int4}]", "rules.0.precision"),
        ("rules: [{layers: '', precision: int8}]", "rules.0.layers"),
        ("rules: [{layer: '*', precision: int8}]", "rules.0.layer"),
        ("rule: []", "rule"),
        ("- int8", "precisionplan"),
        ("rules: [", "is not YAML"),
    ],
)
def test_a_wrong_plan_names_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_plan(path)
    assert "plan.yaml" in str(caught.value)


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.yaml"):
        load_plan(tmp_path / "nowhere.yaml")


def test_a_plan_that_was_followed_counts_before_what_was_kept() -> None:
    notes = {
        "precision_plan": {
            "plan": plan(("head", "fp16"), ("*", "int8")).model_dump(mode="json"),
            "source": "measured:x",
            "wider_than_planned": {"tied": "fp16"},
        },
        "left_float": {"up": "ConvTranspose"},
    }
    quantize = QuantizeStage(quantize=QuantizeConfig(keep_float=("stem",))).model_dump(mode="json")
    entry = StageEntry(name="q", params=1, macs=1, bytes=1, metrics={}, config=quantize, notes=notes)
    made = plan_of_stages([entry])
    assert [made.of(name) for name in ("head", "up", "tied", "stem")] == ["fp32", "fp32", "fp32", "int8"]


@pytest.mark.parametrize("noted", [3, {}, {"plan": {"rules": 3}}, {"plan": {"rules": [], "else": 1}}])
def test_a_forged_plan_is_refused(noted: object) -> None:
    notes = {"precision_plan": noted}
    config = {"stage": "quantize", "quantize": {}}
    with pytest.raises(BundleError, match="does not say which layers it kept"):
        plan_of_stages([StageEntry(name="q", params=1, macs=1, bytes=1, metrics={}, config=config, notes=notes)])


def test_plans_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        plan().products = "int8"  # type: ignore[misc]
