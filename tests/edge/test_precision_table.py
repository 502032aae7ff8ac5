"""The tables of sensitivities and plans: every figure stands where it belongs, whatever is missing."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from edge.compress.precision_plan import PrecisionPlan
from edge.compress.sensitivity.report import Sensitivity, SensitivityRow
from edge.compress.sensitivity.unit_choices import Unit
from edge.compress.sensitivity.verified_plan import Trial, VerifiedPlan
from edge.report.precision_table import plan_table, sensitivity_table

if TYPE_CHECKING:
    from rich.table import Table

    from edge.compress.precision_plan import PlannedPrecision
    from edge.compress.sensitivity.report import Target

STATES = ("all", "only_audio")


def printed(table: Table) -> list[str]:
    out = StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue().splitlines()


def row(
    kind: Target, target: str, precision: PlannedPrecision, nats: float, lost: float | None = None
) -> SensitivityRow:
    return SensitivityRow(
        kind=kind,
        target=target,
        precision=precision,
        distance={"all": nats / 2, "only_audio": nats},
        sqnr_db=dict.fromkeys(STATES, 20.0),
        lost={} if lost is None else {"all": lost / 2, "only_audio": lost},
    )


@pytest.fixture
def found() -> Sensitivity:
    rows = [row("layer", f"net.{i}", "int8", 0.1 * i, 3.0 if i == 3 else None) for i in range(1, 4)]
    rows += [row("layer", "net.3", "fp16", 0.0001), row("branch", "net", "int8", 0.5, 4.0)]
    units = tuple(
        Unit(name=f"net.{i}", branch="net", layers=(f"net.{i}",), choices=("int8", "fp32")) for i in (1, 2, 3)
    )
    return Sensitivity(states=STATES, base={"all": 90.0, "only_audio": 60.0}, units=units, rows=tuple(rows))


def test_branches_come_first_then_layers_by_sensitivity(found: Sensitivity) -> None:
    lines = [line for line in printed(sensitivity_table(found, layers=2, title="Sweep")) if "net" in line]
    assert [line.split()[1] for line in lines] == ["net", "net.3", "net.2"]
    assert [line.count("#") for line in lines] == [12, 9, 8]
    assert lines[0].split("│")[4:7] == [" only_audio  ", "       4.00 ", "        2.00 "]
    assert "0.0001" in lines[1]
    assert "-" in lines[2]


def test_an_empty_sweep_is_an_empty_table(found: Sensitivity) -> None:
    assert not [line for line in printed(sensitivity_table(found.model_copy(update={"rows": ()}))) if "net" in line]


def test_a_plan_stands_beside_its_budget_and_its_prior() -> None:
    trial = Trial(ms=1.5, lost={"all": 0.25, "only_audio": -0.5})
    made = VerifiedPlan(
        plan=PrecisionPlan(),
        precisions={},
        verified=trial,
        emulated=trial,
        allowed={"all": 0.35, "only_audio": 1.0},
        source="estimate:orin-nano-8gb",
        table_graph_sha256="0" * 64,
        fp32_ms=6.0,
        prior=Trial(ms=2.0, lost={"all": 7.0, "only_audio": 0.0}),
        trials=3,
        confirmations=1,
    )
    lines = printed(plan_table(made))
    cells = {
        line.split("│")[1].strip(): [c.strip() for c in line.split("│")[2:5]] for line in lines if line.count("│") > 3
    }
    assert cells["may be lost"] == ["", "0.35", "1.00"]
    assert cells["plan, quantized"] == cells["plan, emulated"] == ["1.500", "0.25", "-0.50"]
    assert cells["prior, emulated"] == ["2.000", "7.00", "0.00"]
    assert cells["all FP32"] == ["6.000", "", ""]
    assert "estimate:orin-nano-8gb" in lines[-1]
    without = printed(plan_table(made.model_copy(update={"prior": None, "fp32_ms": None})))
    assert not [line for line in without if "prior" in line or "FP32" in line]
