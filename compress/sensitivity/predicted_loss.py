"""One number for what a unit's precision costs in all states together, which ranks plans before any is tried."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING

from edge.compress.sensitivity.knapsack import Option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.compress.precision_plan import PlannedPrecision
    from edge.compress.sensitivity.config import PlanBudget
    from edge.compress.sensitivity.report import Sensitivity
    from edge.compress.sensitivity.unit_choices import Unit
    from edge.compress.sensitivity.unit_costs import UnitCosts

_SMALLEST_ALLOWANCE = 0.05  # points; a state that may lose nothing still has a finite weight
_BITS = {"int8": 8, "fp16": 16, "fp32": 32}


def predicted_losses(
    found: Sensitivity, budget: PlanBudget, weights: Mapping[str, float]
) -> dict[str, dict[PlannedPrecision, float]]:
    """Distance of each unit at each precision, its states weighed by how little they may lose.

    Args:
        found: Of all layers.
        budget: A state that may lose half as much counts twice.
        weights: Of states, beside that; those without one count 1.

    Raises:
        DataError: A layer was not swept.
    """
    by_state = {s: weights.get(s, 1.0) / (budget.allowed(s) + _SMALLEST_ALLOWANCE) for s in found.states}
    total = fsum(by_state.values())
    losses: dict[str, dict[PlannedPrecision, float]] = {unit.name: {"fp32": 0.0} for unit in found.units}
    for unit in found.units:
        for precision in (p for p in unit.choices if p != "fp32"):
            distance = found.row(unit.name, precision).distance
            losses[unit.name][precision] = fsum(by_state[s] * nats for s, nats in distance.items()) / total
    return losses


def unit_options(
    found: Sensitivity,
    costs: UnitCosts,
    budget: PlanBudget,
    prior: Mapping[str, PlannedPrecision],
    prior_weight: float = 0.0,
    weights: Mapping[str, float] | None = None,
) -> dict[str, tuple[Option, ...]]:
    """What the knapsack may choose of.

    A precision is left out where its layer alone was seen to lose more than a state may, unless nothing else is left.
    The prior enters here: being narrower than it costs `prior_weight` of a mean layer's loss at INT8, so that it
    decides between equals, and yields to a layer that is measured to be harmless and slow.

    Args:
        found: Of all layers.
        costs: By the latency table.
        budget: What states may lose.
        prior: Precision by unit.
        prior_weight: In mean losses at INT8.
        weights: Of states, see `predicted_losses`.
    """
    losses = predicted_losses(found, budget, weights or {})
    narrow = [by_precision["int8"] for by_precision in losses.values() if "int8" in by_precision]
    penalty = prior_weight * fsum(narrow) / len(narrow) if narrow else 0.0
    options: dict[str, tuple[Option, ...]] = {}
    for unit in found.units:
        ms, ruled_out = costs.ms[unit.name], too_costly_alone(found, unit, budget)
        allowed = [p for p in ms if p not in ruled_out] or [max(ms, key=lambda p: _BITS[p])]
        narrower = {p: penalty * (_BITS[p] < _BITS[prior[unit.name]]) for p in allowed}
        options[unit.name] = tuple(Option(p, ms[p], losses[unit.name][p] + narrower[p]) for p in allowed)
    return options


def too_costly_alone(found: Sensitivity, unit: Unit, budget: PlanBudget) -> set[PlannedPrecision]:
    """Precisions at which this unit alone loses more points than some state may."""
    return {
        row.precision
        for row in found.rows
        if row.kind == "layer"
        and row.target == unit.name
        and any(points > budget.allowed(state) for state, points in row.lost.items())
    }
