"""Shares, shortfalls and the demand of a plan, on reports that are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.compile.precision.layer_precision import NAMED_LAYERS, LayerPrecision, PrecisionReport
from edge.compress.precision_plan import PrecisionPlan, PrecisionRule
from edge.runtime.errors import GateError

if TYPE_CHECKING:
    from edge.compress.precision_plan import Precision

INT8 = PrecisionPlan.int8()
PRECISIONS: tuple[Precision, ...] = ("int8", "fp16", "bf16", "fp32", "fp8", "int4", "other", "unknown")


def layer(name: str, precision: Precision = "int8", macs: int = 100, **more: Any) -> LayerPrecision:
    return LayerPrecision(name=name, macs=macs, precision=precision, **more)


def report(*layers: LayerPrecision) -> PrecisionReport:
    return PrecisionReport(evidence="declared", source="a network", layers=layers)


def test_shares_are_of_the_macs_and_the_largest_comes_first() -> None:
    found = report(layer("a", "fp32", 20), layer("b", "int8", 70), layer("c", "fp32", 10))
    assert found.shares() == {"int8": pytest.approx(0.7), "fp32": pytest.approx(0.3)}
    assert list(found.shares()) == ["int8", "fp32"]
    assert found.macs == 100


@pytest.mark.parametrize("layers", [(), (layer("a", macs=0),)])
def test_without_macs_there_are_no_shares(layers: tuple[LayerPrecision, ...]) -> None:
    assert report(*layers).shares() == {}


@given(st.lists(st.tuples(st.sampled_from(PRECISIONS), st.integers(0, 10**12)), max_size=20))
def test_shares_add_up_to_all_of_it(drawn: list[tuple[Precision, int]]) -> None:
    found = report(*(layer(f"l{i}", precision, macs) for i, (precision, macs) in enumerate(drawn)))
    assert sum(found.shares().values()) == pytest.approx(1 if found.macs else 0)
    assert set(found.shares()) <= {precision for precision, _ in drawn}


@pytest.mark.parametrize(
    ("planned", "met"),
    [
        ("int8", {"int8", "fp8", "int4", "unknown"}),
        ("fp16", {"int8", "fp8", "int4", "fp16", "bf16", "unknown"}),
        ("fp32", {"int8", "fp8", "int4", "fp16", "bf16", "fp32", "unknown"}),
    ],
)
def test_narrower_than_planned_is_met_and_wider_is_short(planned: Any, met: set[str]) -> None:
    plan = PrecisionPlan(rules=(PrecisionRule(layers="*", precision=planned),))
    found = report(*(layer(precision, precision) for precision in PRECISIONS))
    assert {x.name for x in found.shortfall(plan)} == set(PRECISIONS) - met


def test_what_is_unknown_is_told_apart() -> None:
    found = report(layer("a"), layer("b", "unknown"))
    assert [x.name for x in found.unknown] == ["b"]
    found.demand(INT8)


def test_products_of_activations_have_a_rule_of_their_own() -> None:
    attention = report(layer("block.attention", "fp32", has_weight=False), layer("block.linear"))
    attention.demand(INT8)
    half = INT8.model_copy(update={"products": "fp16"})
    with pytest.raises(GateError, match=r"block\.attention is fp32, planned fp16"):
        attention.demand(half)


def test_a_demand_that_is_met_says_nothing() -> None:
    report(layer("a"), layer("b")).demand(INT8)
    report(layer("a", "fp32")).demand(PrecisionPlan())


def test_a_demand_names_the_layers_and_why() -> None:
    reason = "its activation is not dequantized INT8"
    found = report(layer("stem", "fp32", reason=reason), layer("head", "fp16"), layer("neck"))
    with pytest.raises(GateError) as refused:
        found.demand(INT8)
    assert refused.value.exit_code == 3
    assert refused.value.problem == (
        "2 of 3 layers fall short of the precision plan as declared by a network: "
        f"stem is fp32, planned int8, {reason}; head is fp16, planned int8"
    )


@pytest.mark.parametrize("surplus", [0, 1, 5])
def test_a_demand_names_a_few_and_counts_the_rest(surplus: int) -> None:
    count = NAMED_LAYERS + surplus
    with pytest.raises(GateError) as refused:
        report(*(layer(f"layer.{i}", "fp32") for i in range(count))).demand(INT8)
    assert str(refused.value).count(" is fp32") == NAMED_LAYERS
    assert refused.value.problem.startswith(f"{count} of {count} layers")
    assert refused.value.problem.endswith(f" and {surplus} more") == (surplus > 0)


def test_layers_that_the_plan_keeps_wide_may_be_wide() -> None:
    plan = PrecisionPlan.int8(keep_float=("heads",))
    report(layer("heads.0", "fp32"), layer("body.0")).demand(plan)
    with pytest.raises(GateError, match=r"body\.0 is fp32"):
        report(layer("heads.0", "fp32"), layer("body.0", "fp32")).demand(plan)


def test_where_fp16_is_allowed_fp32_counts_as_fp16_and_nothing_else_changes() -> None:
    found = report(*(layer(precision, precision) for precision in PRECISIONS)).with_fp16_allowed()
    assert {x.name: x.precision for x in found.layers} == {p: "fp16" if p == "fp32" else p for p in PRECISIONS}
    assert found.source == "a network, FP16 allowed"
