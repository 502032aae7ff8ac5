"""What a plan decides, how it is written as globs, and what it costs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edge.compress.precision_plan import PlannedPrecision, PrecisionPlan, PrecisionRule, expanded, load_plan
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.sensitivity.branches import branches_of, default_prior
from edge.compress.sensitivity.calibrated_graph import calibrate_graph, fold_graph
from edge.compress.sensitivity.module_globs import covering, plan_of_layers
from edge.compress.sensitivity.unit_choices import Unit
from edge.compress.sensitivity.unit_costs import UnitCosts
from edge.compress.sensitivity.units import find_units, precisions_of_plan, quantize_settings
from edge.runtime.errors import ConfigError, DataError, ModelError
from tests.compress.sensitivity.conftest import latency_table

if TYPE_CHECKING:
    from pathlib import Path

PRECISIONS: tuple[PlannedPrecision, ...] = ("int8", "fp16", "fp32")
LEAVES = st.sets(
    st.tuples(st.sampled_from("ab"), st.sampled_from("cd"), st.sampled_from("ef[")).map(".".join), min_size=1
)


class Shared(nn.Module):
    """A weight used twice, a layer that overflows FP16, one inside another's module, one that INT8 has no rule for."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide, self.outer = nn.Linear(8, 8), nn.Linear(8, 8), Outer()
        self.second = nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.up = nn.ConvTranspose3d(1, 1, 1)
        with torch.no_grad():
            self.wide.weight[0, 0] = 1e5

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(torch.relu(self.first(x))) + self.wide(x)
        x = self.outer(x)
        lifted: Tensor = self.up(x.reshape(-1, 1, 2, 2, 2))
        return lifted


class Outer(nn.Linear):
    def __init__(self) -> None:
        super().__init__(8, 8)
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.relu(self.inner(x)))


class Loose(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight)


def units_of(model: nn.Module, **config: object) -> dict[str, Unit]:
    graph = fold_graph(
        model.eval(), (torch.randn(2, 8),), [(torch.randn(2, 8),)], QuantizeConfig.model_validate(config)
    )
    return {unit.name: unit for unit in find_units(graph, ())}


def test_what_cannot_be_told_apart_is_decided_together() -> None:
    units = units_of(Shared())
    assert units["first"].layers == ("first", "second")
    assert set(units["outer.inner"].layers) == {"outer", "outer.inner"}
    assert units["first"].choices == ("int8", "fp16", "fp32")
    assert units["wide"].choices == ("int8", "fp32")  # 1e5 is more than FP16 holds
    assert units["up"].choices == ("fp16", "fp32")


def test_what_settings_keep_is_no_choice() -> None:
    units = units_of(Shared(), keep_float=["first"], keep_fp32=["outer"])
    assert units["first"].choices == ("fp16", "fp32")
    assert units["outer.inner"].choices == ("int8", "fp32")


def test_a_weight_that_no_plan_can_name_is_refused() -> None:
    with pytest.raises(ModelError, match="'weight' is used outside any module"):
        units_of(Loose())
    with pytest.raises(ModelError, match="no convolution or linear layer"):
        units_of(nn.ReLU())


def test_a_plan_says_the_widest_of_what_is_tied_and_the_next_that_may_be() -> None:
    units = list(units_of(Shared()).values())
    rules = [("second", "fp32"), ("wide", "fp16"), ("*", "int8")]
    plan = PrecisionPlan.model_validate({"rules": [{"layers": g, "precision": p} for g, p in rules]})
    found = precisions_of_plan(plan, units)
    assert found == {"first": "fp32", "wide": "fp32", "outer.inner": "int8", "up": "fp16"}
    made = quantize_settings(found, units, QuantizeConfig(observer="mse"))
    assert set(made.keep_float) == {"first", "second", "wide", "up"}
    assert set(made.keep_fp32) == {"first", "second", "wide"}
    assert made.observer == "mse"
    without_half = quantize_settings(dict.fromkeys(found, "fp32"), units, QuantizeConfig())
    assert (without_half.keep_float, without_half.keep_fp32) == (("*",), ("*",))


def test_calibration_refuses_nothing_and_nan() -> None:
    example = (torch.randn(2, 8),)
    with pytest.raises(DataError, match="calibration set is empty"):
        calibrate_graph(Shared().eval(), example, [], QuantizeConfig())
    with pytest.raises(DataError, match="NaN or infinity for sample '1'"):
        calibrate_graph(Shared().eval(), example, [(torch.tensor([[0.0] * 8, [torch.nan] * 8]),)], QuantizeConfig())


@settings(max_examples=80, deadline=None)
@given(names=LEAVES, data=st.data())
def test_globs_hold_what_is_chosen_and_nothing_else(names: set[str], data: st.DataObject) -> None:
    ordered = sorted(names)
    chosen = data.draw(st.sets(st.sampled_from(ordered)))
    globs = expanded(covering(chosen, ordered))
    assert {n for n in ordered if any(fnmatchcase(n, glob) for glob in globs)} == chosen
    assert len(covering(chosen, ordered)) <= len(chosen)


@settings(max_examples=80, deadline=None)
@given(names=LEAVES, data=st.data())
def test_a_plan_of_layers_gives_every_layer_its_precision(names: set[str], data: st.DataObject) -> None:
    inner = {"a.c", "a"} & data.draw(st.sets(st.sampled_from(["a.c", "a"])))
    precisions = {n: data.draw(st.sampled_from(PRECISIONS)) for n in sorted(names | inner)}
    plan = plan_of_layers(precisions)
    assert {name: plan.of(name) for name in precisions} == precisions
    assert len(plan.rules) <= len(precisions) + 1


def test_a_branch_that_is_alike_is_one_rule() -> None:
    layers: dict[str, PlannedPrecision] = {f"encoders.{m}.{i}": "int8" for m in ("camera", "lidar") for i in range(4)}
    plan = plan_of_layers({**layers, "encoders.lidar.2": "fp16", "head.0": "fp16", "head.1": "fp16"})
    assert [(rule.layers, rule.precision) for rule in plan.rules] == [
        ("encoders.lidar.2", "fp16"),
        ("head.*", "fp16"),
        ("*", "int8"),
    ]


def test_branches_are_read_off_the_paths() -> None:
    layers = ["net.encoders.camera.stem", "net.encoders.lidar.stem", "net.fusion.mix", "net.heads.0.conv"]
    found = branches_of(layers, ("camera", "lidar"))
    assert list(found.values()) == ["net.encoders.camera", "net.encoders.lidar", "net.fusion", "net.heads"]
    mine = branches_of(layers, ("camera", "lidar"), ("net.encoders", "*.conv"))
    assert list(mine.values()) == ["net.encoders", "net.encoders", "net.fusion", "*.conv"]


def test_the_prior_is_int8_encoders_and_fp16_behind_them() -> None:
    prior = default_prior(["encoders.camera", "lidar", "backbone", "fusion", "heads"], ("camera", "lidar"))
    layers = ["encoders.camera.0", "lidar.stem", "backbone.x", "fusion.mix", "heads.0"]
    assert [prior.of(layer) for layer in layers] == ["int8", "int8", "int8", "fp16", "fp16"]


def made_units(*names: str, choices: tuple[PlannedPrecision, ...] = PRECISIONS) -> tuple[Unit, ...]:
    return tuple(Unit(name=name, branch=name, layers=(name,), choices=choices) for name in names)


def test_what_has_no_weight_follows_its_neighbour() -> None:
    rows = {"input": 1.0, "a.conv": 8.0, "a.add": 2.0, "b.conv": 4.0, "a.pool": 1.0, "cat": 0.5, "b.conv.2": 3.0}
    costs = UnitCosts(latency_table(rows), made_units("a.conv", "b.conv"))
    precisions: dict[str, PlannedPrecision] = {"a.conv": "int8", "b.conv": "fp32"}
    plan = costs.plan(precisions)
    found = {row: plan.of(row) for row in rows}
    narrow, wide = {"input", "a.conv", "a.add", "a.pool"}, {"b.conv", "cat", "b.conv.2"}
    assert {row for row, p in found.items() if p == "int8"} == narrow
    assert {row for row, p in found.items() if p == "fp32"} == wide
    expected = 0.1 + sum(rows[r] for r in narrow) / 4 + sum(rows[r] for r in wide)
    assert costs.total_ms(precisions) == pytest.approx(expected)
    assert 0.1 + costs.ms["a.conv"]["int8"] + costs.ms["b.conv"]["fp32"] == pytest.approx(expected)


def test_what_costs_nothing_needs_no_rule() -> None:
    costs = UnitCosts(latency_table({"a.conv": 1.0, "d": 0.0, "b.conv": 1.0, "e": 0.0}), made_units("a.conv", "b.conv"))
    plan = costs.plan({"a.conv": "fp16", "b.conv": "int8"})
    assert [(rule.layers, rule.precision) for rule in plan.rules] == [("a.*", "fp16"), ("*", "int8")]
    assert costs.table.total_ms(plan) == pytest.approx(0.1 + 0.5 + 0.25)


def test_precisions_that_the_table_lacks_are_no_choice() -> None:
    table = latency_table({"a": 1.0})
    int8 = table.model_copy(update={"layers": tuple(r for r in table.layers if r.precision == "int8")})
    assert UnitCosts(int8, made_units("a")).ms == {"a": {"int8": 0.25}}
    with pytest.raises(ConfigError, match=r"layer 'a', and what runs with it, at no precision .* \(fp16, fp32\)"):
        UnitCosts(int8, made_units("a", choices=("fp16", "fp32")))
    with pytest.raises(ConfigError, match="has no layer 'b'"):
        UnitCosts(table, made_units("a", "b"))


def test_a_saved_plan_can_be_read_by_people_and_machines(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    rules = (PrecisionRule(layers="a.[[]x", precision="fp16"), PrecisionRule(layers="*", precision="int8"))
    plan = PrecisionPlan(rules=rules)
    plan.save(path)
    assert "- {layers: '*', precision: int8}" in path.read_text()
    assert load_plan(path) == plan
    PrecisionPlan().save(path)
    assert load_plan(path) == PrecisionPlan()
