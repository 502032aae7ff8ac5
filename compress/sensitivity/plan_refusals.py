"""Why no plan meets a budget: what binds, and the best that was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.sensitivity.knapsack import PlanPoint
from edge.compress.sensitivity.unit_choices import PRECISIONS
from edge.runtime.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.compress.sensitivity.config import PlanBudget
    from edge.compress.sensitivity.unit_costs import UnitCosts
    from edge.compress.sensitivity.verified_plan import Trial

_NAMED = 3


def demand_latency(costs: UnitCosts, budget: PlanBudget) -> None:
    """Refuses a latency that no plan can reach, whatever it loses: before the sweep, which takes long.

    Raises:
        GateError: The fastest plan is slower; the message names what is not at INT8 in it.
    """
    narrowest = {unit: min(ms, key=lambda p: (ms[p], PRECISIONS.index(p))) for unit, ms in costs.ms.items()}
    fastest = PlanPoint(costs.total_ms(narrowest), 0.0, narrowest)
    if budget.max_ms is not None and fastest.ms > budget.max_ms:
        raise too_slow(fastest, costs, budget)


def too_slow(fastest: PlanPoint, costs: UnitCosts, budget: PlanBudget) -> GateError:
    """What to say where even the fastest plan is slower than it may be."""
    kept = [name for name, precision in fastest.precisions.items() if precision != "int8"]
    slowest = sorted(kept, key=lambda name: -costs.ms[name][fastest.precisions[name]])
    because = f"; not at INT8: {_named(slowest)}" if slowest else ", all of it at INT8"
    return GateError(
        f"no plan takes {budget.max_ms:g} ms by the table of {costs.table.source}: the fastest takes "
        f"{fastest.ms:.4g} ms{because}",
        "allow more time or more loss, or prune the model first",
    )


def loses_too_much(
    what: str, source: str, budget: PlanBudget, best: Trial, states: Sequence[str], shares: Mapping[str, float]
) -> GateError:
    """What to say where no plan keeps the score.

    Args:
        what: Was tried.
        source: Of the latency table.
        budget: That was not kept.
        best: What was reached.
        states: Those that bind, the worst first.
        shares: Predicted loss in these states, by unit.
    """
    lost = ", ".join(f"'{s}' loses {best.lost[s]:.2f} of {budget.allowed(s):.2f} points" for s in states)
    worst = [unit for unit in sorted(shares, key=lambda unit: -shares[unit]) if shares[unit] > 0]
    layers = f"; most of it by {_named(worst)}" if worst else ""
    limit = f" in {budget.max_ms:g} ms" if budget.max_ms else ""
    return GateError(
        f"{what}{limit}: with the best, of {best.ms:.4g} ms by {source}, {lost}{layers}",
        "allow more loss or more time, or calibrate with more samples",
    )


def _named(layers: Sequence[str]) -> str:
    more = f" and {len(layers) - _NAMED} more" if len(layers) > _NAMED else ""
    return ", ".join(layers[:_NAMED]) + more
