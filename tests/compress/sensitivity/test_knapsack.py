"""The frontier is exact: it is what brute force finds."""

from __future__ import annotations

from itertools import product
from math import fsum
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.compress.sensitivity.knapsack import Option, PlanPoint, frontier

if TYPE_CHECKING:
    from edge.compress.precision_plan import PlannedPrecision

NUMBERS = st.integers(0, 12).map(float)
OPTIONS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3)
UNITS = st.lists(OPTIONS, min_size=1, max_size=6)
PRECISIONS: tuple[PlannedPrecision, ...] = ("int8", "fp16", "fp32")


def options(units: list[list[tuple[float, float]]]) -> dict[str, tuple[Option, ...]]:
    return {
        str(i): tuple(Option(p, ms, loss) for p, (ms, loss) in zip(PRECISIONS, unit, strict=False))
        for i, unit in enumerate(units)
    }


def sums(given: dict[str, tuple[Option, ...]]) -> list[tuple[float, float]]:
    return [(fsum(o.ms for o in c), fsum(o.loss for o in c)) for c in product(*given.values())]


@settings(max_examples=60, deadline=None)
@given(units=UNITS)
def test_no_plan_beats_the_frontier(units: list[list[tuple[float, float]]]) -> None:
    given = options(units)
    found, everything = frontier(given), sums(given)
    unbeaten = {
        (m, x) for m, x in everything if not any((a <= m and b < x) or (a < m and b <= x) for a, b in everything)
    }
    assert [(p.ms, p.loss) for p in found] == sorted(unbeaten)


@settings(max_examples=40, deadline=None)
@given(units=UNITS)
def test_a_point_is_the_sum_of_its_precisions(units: list[list[tuple[float, float]]]) -> None:
    given = options(units)
    for point in frontier(given):
        chosen = [next(o for o in given[unit] if o.precision == p) for unit, p in point.precisions.items()]
        assert (point.ms, point.loss) == (fsum(o.ms for o in chosen), fsum(o.loss for o in chosen))
        assert list(point.precisions) == list(given)


def test_where_there_are_too_many_points_ends_stay_and_gaps_are_small() -> None:
    units = options([[(1.0 + i * 0.173, 5.0 + (i * 7 % 11)), (2.0 + i * 0.31, 2.0), (4.0 + i, 0.0)] for i in range(40)])
    exact, thinned = frontier(units, points=10**6), frontier(units, points=64)
    assert len(thinned) <= 64 + 1 < len(exact)
    assert (thinned[0].ms, thinned[-1].loss) == pytest.approx((exact[0].ms, exact[-1].loss))
    step = (exact[-1].ms - exact[0].ms) / 64

    def best(points: list[PlanPoint], loss: float) -> float:
        return min(p.ms for p in points if p.loss <= loss)

    assert max(best(thinned, loss) - best(exact, loss) for loss in range(0, 200, 10)) < 3 * step
