"""The fastest plan that keeps the score in every state, or the least hurt one that keeps a latency.

Losses are not additive, so prediction only ranks: the knapsack gives plans from the fastest to the safest, a bisection
over them finds by emulated scores where the budget begins to hold, states that bind weigh more in a second and third
round, and what comes out is quantized and scored for real before it counts. If that is off by some points, the search
goes on with as much less allowed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.compress.sensitivity.knapsack import PlanPoint, frontier
from edge.compress.sensitivity.plan_refusals import loses_too_much, too_slow
from edge.compress.sensitivity.predicted_loss import predicted_losses, unit_options
from edge.compress.sensitivity.verified_plan import Trial, VerifiedPlan
from edge.runtime.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.compress.precision_plan import PlannedPrecision
    from edge.compress.sensitivity.config import PlanSearchConfig
    from edge.compress.sensitivity.report import Sensitivity
    from edge.compress.sensitivity.unit_costs import UnitCosts

    Precisions = Mapping[str, PlannedPrecision]
    Scores = Callable[[Precisions], Mapping[str, float]]

logger = logging.getLogger(__name__)
_ROUNDS = 3
_SMALLEST_GAP = 1e-9  # points, so that rounding brings no plan back
_BINDING = 3.0  # how much more a state weighs in the next round if it was what refused a plan


@dataclass(eq=False)
class PlanSearch:
    """A search with what it has tried.

    Attributes:
        found: Sensitivities of all layers, and the float model's scores.
        costs: By the latency table.
        prior: Precision by unit where nothing speaks against it.
        config: Budget and bounds.
        emulated: Scores of a combination by emulation, by state.
    """

    found: Sensitivity
    costs: UnitCosts
    prior: Precisions
    config: PlanSearchConfig
    emulated: Scores
    _tried: dict[tuple[str, ...], Trial] = field(default_factory=dict)
    _margin: dict[str, float] = field(default_factory=dict)

    @property
    def allowed(self) -> dict[str, float]:
        """Points that each state may lose."""
        return {state: self.config.budget.allowed(state) for state in self.found.states}

    def run(self, real: Scores) -> VerifiedPlan:
        """Searches until a plan holds for real.

        Args:
            real: Scores of a combination that is quantized, by state.

        Raises:
            GateError: No plan holds; the message names the binding states and layers, and the best that was reached.
        """
        failed: list[tuple[PlanPoint, Trial]] = []
        while len(failed) < self.config.confirmations:
            try:
                best = self._search()
            except GateError:
                if not failed:
                    raise
                break
            verified = self._trial_of(best, real(best.precisions))
            if not verified.excess(self.allowed):
                return self._verified(best, verified, len(failed) + 1)
            self._tighten(self._try(best), verified)
            failed.append((best, verified))
        point, trial = min(failed, key=lambda pair: sum(pair[1].excess(self.allowed).values()))
        raise self._refusal(point, trial, f"no plan keeps the score once quantized ({len(failed)} tried)")

    def _tighten(self, emulated: Trial, verified: Trial) -> None:
        """From now on as much less is allowed as the emulation was too kind by."""
        over = verified.excess(self.allowed)
        logger.info("the plan of %.3f ms loses more when quantized than it may, by state: %s", verified.ms, over)
        for state in over:
            gap = verified.lost[state] - emulated.lost[state] + _SMALLEST_GAP
            self._margin[state] = max(self._margin.get(state, 0.0), gap)

    def _search(self) -> PlanPoint:
        """The best point by emulation, at what may be lost less the margin."""
        weights = dict.fromkeys(self.found.states, 1.0)
        points = self._points(weights)
        if self.config.budget.minimise == "loss":
            return self._demand(points[-1])
        best = self._bisect(points) or self._demand(points[-1])
        for _ in range(_ROUNDS - 1):
            for state in self._binding(best):
                weights[state] *= _BINDING
            faster = [p for p in self._points(weights) if p.ms < best.ms]
            best = (self._bisect(faster) if faster else None) or best
        prior = self._prior_point()
        return prior if prior and prior.ms < best.ms and self._holds(prior) else best

    def _points(self, weights: Mapping[str, float]) -> list[PlanPoint]:
        """Plans within the latency, fastest first, with latencies of the whole inference."""
        config = self.config
        options = unit_options(self.found, self.costs, config.budget, self.prior, config.prior_weight, weights)
        fixed, most = self.costs.table.fixed_ms, config.budget.max_ms
        points = [PlanPoint(p.ms + fixed, p.loss, p.precisions) for p in frontier(options)]
        within = [p for p in points if most is None or p.ms <= most]
        if not within:
            raise too_slow(points[0], self.costs, config.budget)
        return within

    def _bisect(self, points: list[PlanPoint]) -> PlanPoint | None:
        """The fastest that holds, if losses fall along the points; None where none of those tried does."""
        if self._holds(points[0]):
            return points[0]
        fails, holds = 0, len(points)
        while holds - fails > 1 and len(self._tried) < self.config.trials:
            middle = (fails + holds) // 2
            fails, holds = (fails, middle) if self._holds(points[middle]) else (middle, holds)
        return points[holds] if holds < len(points) else None

    def _holds(self, point: PlanPoint) -> bool:
        return not self._try(point).excess(self._tightened())

    def _tightened(self) -> dict[str, float]:
        return {state: points - self._margin.get(state, 0.0) for state, points in self.allowed.items()}

    def _demand(self, point: PlanPoint) -> PlanPoint:
        if not self._holds(point):
            raise self._refusal(point, self._try(point), "no plan keeps the score")
        return point

    def _binding(self, best: PlanPoint) -> list[str]:
        """States that refused plans faster than the best so far."""
        faster = [trial for trial in self._tried.values() if trial.ms < best.ms]
        return list(dict.fromkeys(state for trial in faster for state in trial.excess(self._tightened())))

    def _try(self, point: PlanPoint) -> Trial:
        key = tuple(point.precisions.values())
        if key not in self._tried:
            self._tried[key] = self._trial_of(point, self.emulated(point.precisions))
        return self._tried[key]

    def _trial_of(self, point: PlanPoint, scores: Mapping[str, float]) -> Trial:
        lost = {state: self.found.base[state] - score for state, score in scores.items()}
        return Trial(ms=point.ms, lost=lost)

    def _prior_point(self) -> PlanPoint | None:
        timed = all(precision in self.costs.ms[unit] for unit, precision in self.prior.items())
        if not timed:
            return None
        ms = self.costs.total_ms(self.prior)
        within = self.config.budget.max_ms is None or ms <= self.config.budget.max_ms
        return PlanPoint(ms, 0.0, dict(self.prior)) if within else None

    def _verified(self, best: PlanPoint, verified: Trial, confirmations: int) -> VerifiedPlan:
        wide: dict[str, PlannedPrecision] = dict.fromkeys(best.precisions, "fp32")
        timed = all("fp32" in ms for ms in self.costs.ms.values())
        prior = self._prior_point()
        return VerifiedPlan(
            plan=self.costs.plan(best.precisions),
            precisions=best.precisions,
            verified=verified,
            emulated=self._try(best),
            allowed=self.allowed,
            source=self.costs.table.source,
            table_graph_sha256=self.costs.table.graph_sha256,
            fp32_ms=self.costs.total_ms(wide) if timed else None,
            prior=self._try(prior) if prior else None,
            trials=len(self._tried),
            confirmations=confirmations,
            unit_ms=self.costs.ms,
        )

    def _refusal(self, point: PlanPoint, trial: Trial, what: str) -> GateError:
        over = trial.excess(self.allowed)
        losses = predicted_losses(self.found, self.config.budget, dict.fromkeys(over, _BINDING))
        shares = {unit: losses[unit][precision] for unit, precision in point.precisions.items()}
        return loses_too_much(what, self.costs.table.source, self.config.budget, trial, list(over), shares)
