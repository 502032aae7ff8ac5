"""Reports of stages as records leave them: one that searched a plan, one that pruned."""

from __future__ import annotations

from typing import Any

from edge.compress.precision_plan import PrecisionPlan, PrecisionRule
from edge.compress.sensitivity.report import Sensitivity, SensitivityRow
from edge.compress.sensitivity.unit_choices import PRECISIONS, Unit
from edge.compress.sensitivity.verified_plan import PlanningSamples, Trial, VerifiedPlan
from edge.compress.stages.record import StageRecord
from edge.report import StageReport

HOSTILE = "<script>alert(1)</script>"
STATES = ("all", "only_audio")
LAYERS = 30


def unit(index: int) -> Unit:
    """Layers of two branches; the first one bears a name that a page must escape."""
    name = HOSTILE if index == 0 else f"net.{index}"
    return Unit(name=name, branch="camera" if index % 2 else "audio", layers=(name,), choices=PRECISIONS)


def row(kind: Any, target: str, precision: Any, nats: float, **lost: float) -> SensitivityRow:
    distance = {"all": nats / 4, "only_audio": nats}
    return SensitivityRow(
        kind=kind, target=target, precision=precision, distance=distance, sqnr_db=dict.fromkeys(STATES, 20.0), lost=lost
    )


def search_notes() -> dict[str, Any]:
    units = tuple(unit(i) for i in range(LAYERS))
    rows = [row("layer", u.name, "int8", i / 10) for i, u in enumerate(units)]
    rows[7] = row("layer", units[7].name, "int8", 9.0, all=0.5, only_audio=12.25)
    rows += [row("layer", units[7].name, "fp16", 0.00125)]
    rows += [row("branch", "camera", "int8", 4.5, all=1.0, only_audio=0.0), row("branch", "audio", "int8", 0.25)]
    found = Sensitivity(states=STATES, base=dict.fromkeys(STATES, 90.0), units=units, rows=tuple(rows))
    trial = Trial(ms=1.5, lost={"all": 0.25, "only_audio": 0.75})
    made = VerifiedPlan(
        plan=PrecisionPlan(rules=(PrecisionRule(layers="*", precision="int8"),)),
        precisions={u.name: "fp16" if i == 7 else "int8" for i, u in enumerate(units)},
        verified=trial,
        emulated=trial,
        allowed={"all": 0.5, "only_audio": 1.0},
        source="estimate:orin-nano-8gb",
        table_graph_sha256="0" * 64,
        fp32_ms=6.0,
        prior=None,
        trials=9,
        confirmations=2,
        unit_ms={u.name: {"int8": 0.25, "fp16": 0.5, "fp32": 1.0} for u in units},
        judged=PlanningSamples(judged_on="half", recordings=150, samples=300),
        not_emulated=("rounding: adaptive",),
    )
    return {"precision_plan": made.model_dump(mode="json"), "sensitivity": found.model_dump(mode="json", by_alias=True)}


def pruning_note(**changes: Any) -> dict[str, Any]:
    latency = {
        "source": "measured:bench",
        "precision": "fp32",
        "target": 0.6,
        "ratio": 0.5,
        "interval": [0.48, 0.52],
        "before_ms": 8.0,
        "after_ms": 4.0,
        "graphs": 3,
        "width_table": "0" * 64,
    }
    plan = {
        "schema": 1,
        "shapes": {"a.weight": [8, 3, 3, 3], "a.bias": [8], "b.weight": [4, 8], "c.weight": [2, 2]},
        "kept": {"a.weight": {"0": [0, 1]}, "a.bias": {"0": [0, 1]}, "b.weight": {"1": [0, 1]}},
        "groups": [
            {"name": "a", "channels": 8, "kept": 2, "unit": 1},
            {"name": "h", "channels": 4, "kept": 3, "unit": 16},
        ],
        "untouched": {"head.weight": "the model's output"},
        "macs_before": 1000,
        "macs_after": 250,
        "separated": [],
        "latency": latency,
    }
    return {**plan, **changes}


def made(kind: str, notes: dict[str, Any]) -> StageReport:
    metrics = {state: {"score": 80.0} for state in STATES}
    record = StageRecord(
        name=kind,
        config={"stage": kind},
        params=9,
        macs=9,
        bytes=9,
        seconds=1,
        metrics=metrics,
        gate_metrics=metrics,
        notes=notes,
    )
    return StageReport.from_record(record).detailed(record)
