"""A quantization stage that searches a plan, and one that replays what was found, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import pytest
import yaml
from pydantic import ValidationError

from edge.compress.precision_plan import PrecisionPlan, load_plan, plan_of_stages
from edge.compress.recipe import load_recipe
from edge.compress.sensitivity.report import Sensitivity
from edge.compress.sensitivity.unit_costs import UnitCosts
from edge.compress.stages import handlers  # noqa: F401  (registers what a stage runs)
from edge.compress.stages.measure import MeasuredStage, StageMeasurer
from edge.compress.stages.stage import Artifact, CompressionContext, QuantizeStage, apply_stage
from edge.devices.catalog import load_device
from edge.devices.estimate import estimate_graph
from edge.graph.layers import weighted_layers
from edge.runtime.errors import ConfigError, GateError
from edge.runtime.manifest import StageEntry
from tests.compress.sensitivity.conftest import FRAGILE, MODALITIES, Digits, latency_table, samples

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compress.latency_table import LatencyTable
    from tests.compress.sensitivity.conftest import Fragile

BUDGET = {"max_loss": 1.0, "max_loss_any": 1.5}
SENSITIVITY = {"samples": 64, "scored": 2, "batch_size": 240}


def stage(**settings: Any) -> QuantizeStage:
    return QuantizeStage.model_validate({"samples": 64, **settings})


def context(fragile: Fragile, **others: Any) -> CompressionContext:
    values = {"validation": fragile.swept.validation, **others}
    train = samples("train", 256, 1)
    return CompressionContext(Digits(), train, fragile.model, build_student=lambda: fragile.model, **values)


def searching(path: Path, **budget: Any) -> QuantizeStage:
    search = {"table": str(path), "budget": {**BUDGET, **budget}, "sensitivity": SENSITIVITY, "judged_on": "validation"}
    return stage(search=search)


def measured(fragile: Fragile, config: QuantizeStage) -> MeasuredStage:
    artifact = apply_stage(config, Artifact("student", fragile.model), context(fragile))
    few = samples("validation", 8, 2), samples("test", 8, 3)
    measurer = StageMeasurer(Digits(), *few, (*MODALITIES, "present"), ("classes",))
    return measurer(artifact, config, 1.0, None)


@pytest.fixture(scope="module")
def table_file(table: LatencyTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "table.yaml"
    table.save(path)
    return path


@pytest.fixture(scope="module")
def found(fragile: Fragile, table_file: Path) -> MeasuredStage:
    return measured(fragile, searching(table_file))


def test_the_plan_keeps_the_fragile_layer_and_the_budget(
    found: MeasuredStage, fragile: Fragile, table: LatencyTable
) -> None:
    note = found.record.notes["precision_plan"]
    made = PrecisionPlan.model_validate(note["plan"])
    assert made.of(FRAGILE) == "fp16"
    int8 = [unit.name for unit in fragile.swept.units if made.of(unit.name) == "int8"]
    assert len(int8) >= 6
    lost = note["verified"]["lost"]
    assert lost["all"] <= 1.0
    assert max(lost.values()) <= 1.5
    assert note["verified"]["ms"] == pytest.approx(table.total_ms(made))
    everything = fragile.swept.scores({unit.name: "int8" for unit in fragile.swept.units})
    assert max(fragile.swept.base[s] - score for s, score in everything.items()) > 5.0


def test_the_record_names_plan_table_and_sensitivities(found: MeasuredStage, table: LatencyTable) -> None:
    notes = found.record.notes
    assert notes["precision_plan"]["source"] == "measured:test-board"
    assert notes["precision_plan"]["table_graph_sha256"] == table.graph_sha256
    assert notes["precision_plan"]["fp32_ms"] > notes["precision_plan"]["verified"]["ms"]
    assert notes["precision_plan"]["unit_ms"][FRAGILE] == {p: table.ms(FRAGILE, p) for p in ("int8", "fp16", "fp32")}
    assert notes["precision_plan"]["judged"] == {"judged_on": "validation", "recordings": 240, "samples": 240}
    assert notes["precision_plan"]["not_emulated"] == []
    swept = Sensitivity.model_validate(notes["sensitivity"])
    assert swept.ranking()[0].target == FRAGILE
    assert set(swept.branches) >= {"encoders.lidar", "mix", "head"}
    assert {row.precision for row in swept.rows} == {"int8", "fp16"}
    found.record.model_validate_json(found.record.model_dump_json())


def test_graphs_have_the_precisions_of_the_plan(found: MeasuredStage) -> None:
    made = PrecisionPlan.model_validate(found.record.notes["precision_plan"]["plan"])
    layers = {x.name: x.precision for x in weighted_layers(onnx.load_from_string(found.graphs["s8f16"]))}
    assert {name: made.of(name) for name in layers} == layers


def test_an_estimates_table_fits_the_model(found: MeasuredStage, fragile: Fragile) -> None:
    graph = onnx.load_from_string(found.graphs["s8"])
    table = estimate_graph(graph, load_device("orin-nano-8gb")).latency_table()
    costs = UnitCosts(table, fragile.swept.units)
    precisions = {unit.name: unit.choices[i % 3] for i, unit in enumerate(fragile.swept.units)}
    total = table.fixed_ms + sum(costs.ms[unit][precision] for unit, precision in precisions.items())
    assert table.total_ms(costs.plan(precisions)) == pytest.approx(total)
    assert costs.table.source == "estimate:orin-nano-8gb"


def test_a_bundle_is_held_to_the_plans_int8(found: MeasuredStage) -> None:
    record = found.record
    entry = StageEntry(name="quantize", params=1, macs=1, bytes=1, metrics={}, config=record.config, notes=record.notes)
    held = plan_of_stages([entry])
    made = PrecisionPlan.model_validate(record.notes["precision_plan"]["plan"])
    assert held.of(FRAGILE) == "fp32"
    assert held.of("encoders.camera.2") == made.of("encoders.camera.2") == "int8"


def test_a_written_plan_replays_to_the_byte(found: MeasuredStage, fragile: Fragile, tmp_path: Path) -> None:
    made = PrecisionPlan.model_validate(found.record.notes["precision_plan"]["plan"])
    made.save(tmp_path / "plan.yaml")
    assert load_plan(tmp_path / "plan.yaml") == made
    recipe = {"stages": [{"stage": "quantize", "samples": 64, "plan": str(tmp_path / "plan.yaml")}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (config,) = load_recipe(tmp_path / "recipe.yaml").stages
    assert isinstance(config, QuantizeStage)
    (tmp_path / "plan.yaml").unlink()  # its rules stand in the recipe now
    replayed = measured(fragile, QuantizeStage.model_validate_json(config.model_dump_json()))
    assert replayed.graphs == found.graphs
    noted = replayed.record.notes["precision_plan"]
    assert noted == {
        "plan": made.model_dump(mode="json"),
        "precisions": found.record.notes["precision_plan"]["precisions"],
    }


def test_by_default_half_of_the_recordings_are_left_for_the_gate(fragile: Fragile, table_file: Path) -> None:
    """And what the search did without is said: here the learned rounding, which only the verification has."""
    adaptive = {"rounding": "adaptive", "adaptive": {"iterations": 2, "samples": 16}}
    generous = {"max_loss": 100, "max_loss_any": 100}
    search = {"table": str(table_file), "budget": generous, "sensitivity": {**SENSITIVITY, "scored": 0}}
    artifact = apply_stage(
        stage(search=search, quantize=adaptive), Artifact("student", fragile.model), context(fragile)
    )
    note = artifact.notes["precision_plan"]
    assert note["judged"] == {"judged_on": "half", "recordings": 120, "samples": 120}
    assert note["not_emulated"] == ["rounding: adaptive"]
    whole = fragile.swept.base
    assert set(artifact.notes["sensitivity"]["base"]) == set(whole)
    assert artifact.notes["sensitivity"]["base"] != whole


def test_a_plan_of_another_model_is_refused(fragile: Fragile) -> None:
    config = stage(plan={"rules": [{"layers": "backbone.*", "precision": "int8"}]})
    with pytest.raises(ConfigError, match=r"no rule .* names a layer of this model, such as 'encoders\.camera\.0'"):
        apply_stage(config, Artifact("student", fragile.model), context(fragile))


def test_a_table_of_another_model_is_refused_before_the_sweep(fragile: Fragile, tmp_path: Path) -> None:
    latency_table({"encoders.camera.0": 1.0}).save(tmp_path / "t.yaml")
    with pytest.raises(ConfigError, match=r"has no layer 'encoders\.camera\.2' and 7 others"):
        apply_stage(searching(tmp_path / "t.yaml"), Artifact("student", fragile.model), context(fragile))


def test_a_search_needs_validation_samples(fragile: Fragile, table_file: Path) -> None:
    with pytest.raises(ConfigError, match="no validation split"):
        apply_stage(searching(table_file), Artifact("student", fragile.model), context(fragile, validation=None))


def test_a_target_that_no_plan_meets_is_refused(fragile: Fragile, table_file: Path, table: LatencyTable) -> None:
    config = searching(table_file, max_ms=table.fixed_ms + 1e-6)
    with pytest.raises(GateError, match=r"no plan takes .* the fastest takes"):
        apply_stage(config, Artifact("student", fragile.model), context(fragile))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"plan": {"rules": []}, "search": {"table": "t.yaml"}}, "`plan` and `search` contradict"),
        ({"plan": {"rules": []}, "quantize": {"keep_float": ["head"]}}, "`plan` and `keep_float` contradict"),
        ({"plan": {"rules": []}, "quantize": {"keep_fp32": ["head"]}}, "`plan` and `keep_fp32` contradict"),
        ({"plan": {"rules": [{"layers": "*", "precision": "int4"}]}}, "precision"),
        ({"search": {"budget": {}}}, "table"),
        ({"search": {"table": "t", "budget": {"max_los": 1}}}, "max_los"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        stage(**settings)


def test_a_plan_file_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot read nowhere\.yaml"):
        stage(plan="nowhere.yaml")
