"""Rows of the page's table of precisions: a branch or a layer, what it computes in, what INT8 alone does to it."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.compress.sensitivity.report import Sensitivity, SensitivityRow
    from edge.compress.sensitivity.verified_plan import VerifiedPlan
    from edge.report.stage_details import PrecisionReport

_LEADING = 24  # layers that are shown at once


@dataclass(frozen=True)
class PrecisionRow:
    """One branch or layer.

    Attributes:
        name: Its name.
        chosen: What it computes in; of a branch, how many layers at which precision.
        ms: At that precision, by the latency table; None without one.
        fp32_ms: At FP32, where the table has that.
        nats: Distance by state with it alone at INT8; empty where it was not measured.
        lost: Points of score lost by state, alike.
        fp16_nats: Distance with it alone at FP16, in the worst state.
    """

    name: str
    chosen: str
    ms: float | None = None
    fp32_ms: float | None = None
    nats: Mapping[str, float] | None = None
    lost: Mapping[str, float] | None = None
    fp16_nats: float | None = None


@dataclass(frozen=True)
class PrecisionRows:
    """All rows of one stage.

    Attributes:
        states: Columns of what was measured.
        branches: In the graph's order.
        leading: Layers, the most sensitive first, or in the graph's order where nothing was measured.
        others: What is left of them.
        most: Largest distance of all, for the shading; 0 where nothing was measured.
    """

    states: Sequence[str]
    branches: Sequence[PrecisionRow]
    leading: Sequence[PrecisionRow]
    others: Sequence[PrecisionRow]
    most: float


def precision_rows(report: PrecisionReport) -> PrecisionRows:
    """What the page shows of a stage that went by a plan."""
    made, found = report.searched, report.sensitivity
    if made is None or found is None:
        rows = [PrecisionRow(name, precision) for name, precision in report.made.precisions.items()]
        return PrecisionRows((), (), rows[:_LEADING], rows[_LEADING:], 0.0)
    branches = [_branch_row(branch, found, made) for branch in found.branches]
    ranked = [row.target for row in found.ranking()]
    order = [*ranked, *(unit.name for unit in found.units if unit.name not in ranked)]
    layers = [_layer_row(name, found, made) for name in order]
    most = max((n for row in (*branches, *layers) for n in (row.nats or {}).values()), default=0.0)
    return PrecisionRows(found.states, branches, layers[:_LEADING], layers[_LEADING:], most)


def _layer_row(name: str, found: Sensitivity, made: VerifiedPlan) -> PrecisionRow:
    chosen, ms = made.precisions[name], made.unit_ms.get(name, {})
    return _row(name, chosen, found, "layer", ms.get(chosen), ms.get("fp32"))


def _branch_row(branch: str, found: Sensitivity, made: VerifiedPlan) -> PrecisionRow:
    units = [unit.name for unit in found.units if unit.branch == branch]
    chosen, ms = [made.precisions[name] for name in units], made.unit_ms
    counts = ", ".join(f"{chosen.count(precision)} {precision}" for precision in dict.fromkeys(sorted(chosen)))
    now = [ms.get(name, {}).get(precision) for name, precision in zip(units, chosen, strict=True)]
    wide = [ms.get(name, {}).get("fp32") for name in units]
    return _row(branch, counts, found, "branch", _sum(now), _sum(wide))


def _row(
    name: str, chosen: str, found: Sensitivity, kind: str, ms: float | None, fp32_ms: float | None
) -> PrecisionRow:
    alone = {r.precision: r for r in found.rows if (r.kind, r.target) == (kind, name)}
    int8: SensitivityRow | None = alone.get("int8")
    half = alone.get("fp16")
    return PrecisionRow(
        name=name,
        chosen=chosen,
        ms=ms,
        fp32_ms=fp32_ms,
        nats=int8.distance if int8 else None,
        lost=(int8.lost or None) if int8 else None,
        fp16_nats=half.worst_distance if half else None,
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) if len(known) == len(values) else None
