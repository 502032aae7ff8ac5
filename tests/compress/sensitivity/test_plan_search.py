"""The search against brute force on small cases, and its refusals."""

from __future__ import annotations

from itertools import product
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from edge.compress.sensitivity.config import PlanBudget, PlanSearchConfig
from edge.compress.sensitivity.plan_search import PlanSearch
from edge.compress.sensitivity.report import Sensitivity, SensitivityRow
from edge.compress.sensitivity.unit_choices import Unit
from edge.compress.sensitivity.unit_costs import UnitCosts
from edge.runtime.errors import DataError, GateError
from tests.compress.sensitivity.conftest import latency_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.compress.precision_plan import PlannedPrecision

    Points = dict[str, dict[PlannedPrecision, NDArray[np.float64]]]

STATES = ("all", "no_camera", "only_audio")
PRECISIONS: tuple[PlannedPrecision, ...] = ("int8", "fp16", "fp32")
BASE = 90.0


class Case:
    """Layers with true losses by state, distances that tell them with some error, and latencies."""

    def __init__(self, seed: int, layers: int = 7, noise: float = 0.2, interaction: float = 0.0) -> None:
        random = np.random.default_rng(seed)
        names = [f"l{i}" for i in range(layers)]
        int8 = random.gamma(0.5, 0.5, (layers, len(STATES)))
        self.points: Points = {
            n: {"int8": int8[i], "fp16": int8[i] * 0.01, "fp32": int8[i] * 0} for i, n in enumerate(names)
        }
        self.interaction = interaction
        self.units = tuple(Unit(name=n, branch=n, layers=(n,), choices=PRECISIONS) for n in names)
        rows = [
            SensitivityRow(
                kind="layer",
                target=n,
                precision=p,
                distance=dict(zip(STATES, (values * random.lognormal(0, noise, 3)).tolist(), strict=True)),
                sqnr_db=dict.fromkeys(STATES, 30.0),
            )
            for n, by_precision in self.points.items()
            for p, values in by_precision.items()
            if p != "fp32"
        ]
        self.found = Sensitivity(states=STATES, base=dict.fromkeys(STATES, BASE), units=self.units, rows=tuple(rows))
        table = latency_table(dict(zip(names, random.uniform(0.5, 4.0, layers).tolist(), strict=True)))
        self.costs = UnitCosts(table, self.units)

    def scores(self, precisions: Mapping[str, PlannedPrecision]) -> dict[str, float]:
        lost = sum(self.points[n][p] for n, p in precisions.items())
        narrow = sum(p == "int8" for p in precisions.values()) / len(precisions)
        lost = np.asarray(lost) * (1 + self.interaction * narrow)
        return {state: BASE - float(points) for state, points in zip(STATES, lost, strict=True)}

    def search(self, prior: PlannedPrecision = "fp16", **settings: Any) -> PlanSearch:
        config = PlanSearchConfig(table=Path("t.yaml"), **settings)
        return PlanSearch(self.found, self.costs, dict.fromkeys(self.points, prior), config, self.scores)

    def optimum(self, budget: PlanBudget) -> float:
        """Fewest milliseconds of all combinations that keep the budget."""
        fitting = []
        for chosen in product(PRECISIONS, repeat=len(self.units)):
            precisions = dict(zip(self.points, chosen, strict=True))
            scores = self.scores(precisions)
            if all(BASE - scores[state] <= budget.allowed(state) for state in STATES):
                fitting.append(self.costs.table.fixed_ms + fsum(self.costs.ms[n][p] for n, p in precisions.items()))
        return min(fitting)


BUDGET = PlanBudget(max_loss=0.6, max_loss_any=1.0)


@pytest.mark.parametrize(("interaction", "worst", "mean"), [(0.0, 1.13, 1.02), (0.5, 1.13, 1.02)])
def test_plans_are_near_the_best_there_is(interaction: float, worst: float, mean: float) -> None:
    ratios = []
    for seed in range(20):
        case = Case(seed, interaction=interaction)
        made = case.search(budget=BUDGET).run(case.scores)
        assert not made.verified.excess(made.allowed)
        assert made.verified.ms == pytest.approx(case.costs.table.total_ms(made.plan))
        ratios.append(made.verified.ms / case.optimum(BUDGET))
    assert max(ratios) <= worst
    assert np.mean(ratios) <= mean


def test_a_fragile_layer_stays_wide_whatever_it_would_save() -> None:
    case = Case(3)
    case.points["l2"]["int8"] = np.array([9.0, 9.0, 9.0])
    made = case.search(budget=BUDGET).run(case.scores)
    assert made.precisions["l2"] != "int8"
    assert "int8" in made.precisions.values()


def test_a_precision_that_alone_loses_too_much_is_never_tried() -> None:
    case, tried = Case(1), []
    case.found = case.found.scored({("layer", "l0", "int8"): dict.fromkeys(STATES, 1.1)})

    def scores(precisions: Mapping[str, PlannedPrecision]) -> dict[str, float]:
        tried.append(precisions["l0"])
        return case.scores(precisions)

    search = case.search(budget=BUDGET)
    search.emulated = scores
    assert search.run(case.scores).precisions["l0"] == "fp16"
    assert "int8" not in tried


def test_what_fails_for_real_backs_off_until_it_holds() -> None:
    case, asked = Case(5), []

    def real(precisions: Mapping[str, PlannedPrecision]) -> dict[str, float]:
        asked.append(dict(precisions))
        return {state: BASE - (BASE - score) * 1.6 for state, score in case.scores(precisions).items()}

    made = case.search(budget=BUDGET).run(real)
    assert made.confirmations == len(asked) > 1
    assert not made.verified.excess(made.allowed)
    assert made.verified.lost == {s: BASE - score for s, score in real(made.precisions).items()}
    assert made.emulated.lost != made.verified.lost


def test_within_a_latency_the_least_hurt_plan_is_taken() -> None:
    case = Case(7, noise=0.0)
    most = case.optimum(BUDGET) * 1.05
    budget = BUDGET.model_copy(update={"max_ms": most, "minimise": "loss"})
    safe = case.search(budget=budget, prior_weight=0.0).run(case.scores)
    fast = case.search(budget=BUDGET).run(case.scores)
    assert safe.verified.ms <= most
    assert sum(safe.verified.lost.values()) <= sum(fast.verified.lost.values())


def test_the_prior_decides_between_equals_and_yields_to_what_was_measured() -> None:
    case = Case(0, layers=2)
    for points in case.points.values():
        points["int8"] = points["fp16"] = np.zeros(3)
    same = {"distance": dict.fromkeys(STATES, 0.1)}
    rows = tuple(r.model_copy(update=same) for r in case.found.rows)
    case.found = case.found.model_copy(update={"rows": rows})
    case.costs.ms["l1"] = case.costs.ms["l0"]
    ms = case.costs.ms["l0"]
    most = case.costs.table.fixed_ms + ms["int8"] + ms["fp16"]
    budget = PlanBudget(max_loss=0.0, max_loss_any=0.0, max_ms=most, minimise="loss")
    priors: list[dict[str, PlannedPrecision]] = [{"l0": "int8", "l1": "fp16"}, {"l0": "fp16", "l1": "int8"}]
    for prior in priors:
        search = case.search(budget=budget)
        search.prior = prior
        assert search.run(case.scores).precisions == prior
    fastest = case.search(budget=BUDGET).run(case.scores)
    assert set(fastest.precisions.values()) == {"int8"}  # nothing is lost, so the prior costs nothing
    assert fastest.prior is not None
    assert fastest.prior.ms > fastest.verified.ms


def test_a_latency_that_no_plan_reaches_names_the_layers() -> None:
    case = Case(2)
    units = tuple(u.model_copy(update={"choices": ("fp16", "fp32")}) if u.name == "l4" else u for u in case.units)
    case.found = case.found.model_copy(update={"units": units})
    case.costs = UnitCosts(case.costs.table, units)
    message = r"no plan takes 0\.5 ms by the table of measured:test-board: the fastest takes .* not at INT8: l4;"
    with pytest.raises(GateError, match=message):
        case.search(budget=PlanBudget(max_ms=0.5)).run(case.scores)


def test_a_score_that_no_plan_keeps_names_states_layers_and_the_best() -> None:
    case = Case(2)
    case.points["l3"] = {p: np.array([0.0, 3.0, 0.0]) for p in PRECISIONS}
    fastest = min(sum(ms[p] for ms in case.costs.ms.values()) for p in PRECISIONS)
    budget = PlanBudget(max_loss=0.6, max_loss_any=1.0, max_ms=fastest * 1.5)
    with pytest.raises(GateError) as caught:
        case.search(budget=budget).run(case.scores)
    assert "'no_camera' loses 3." in caught.value.problem
    assert "of 1.00 points" in caught.value.problem
    assert "most of it by l" in caught.value.problem
    assert f"in {budget.max_ms:g} ms" in caught.value.problem


def test_what_never_holds_for_real_is_given_up() -> None:
    case = Case(4)
    worse = dict.fromkeys(STATES, BASE - 20.0)
    with pytest.raises(GateError, match=r"once quantized \(1 tried\): .* 'all' loses 20\.00 of 0\.60 points"):
        case.search(budget=BUDGET, confirmations=3).run(lambda _: worse)


def test_a_layer_that_was_not_swept_is_named() -> None:
    case = Case(1)
    case.found = case.found.model_copy(update={"rows": case.found.rows[2:]})
    with pytest.raises(DataError, match="'l0' was not swept at int8"):
        case.search(budget=BUDGET).run(case.scores)


def test_trials_are_bounded() -> None:
    case = Case(6, layers=8)
    made = case.search(budget=PlanBudget(max_loss=0.2, max_loss_any=0.2), trials=4).run(case.scores)
    assert made.trials <= 4 + 4  # and one for each round, the safest and the prior


def test_minimising_loss_needs_a_latency() -> None:
    with pytest.raises(ValidationError, match="set max_ms"):
        PlanBudget(minimise="loss")
