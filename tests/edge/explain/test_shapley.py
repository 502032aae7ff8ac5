"""Shapley values and interaction indices against their axioms and their definitions."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.explain.shapley import interaction_matrix, shapley_matrix

GAMES = st.integers(1, 4).flatmap(
    lambda count: st.lists(st.floats(-100, 100), min_size=2**count, max_size=2**count).map(
        lambda values: (count, np.array(values))
    )
)


def by_orders(count: int, values: np.ndarray) -> np.ndarray:
    """What each player adds when it joins, over all orders of joining: the definition."""
    added = np.zeros(count)
    orders = list(permutations(range(count)))
    for order in orders:
        there = 0
        for player in order:
            added[player] += values[there | 1 << player] - values[there]
            there |= 1 << player
    return added / len(orders)


@given(GAMES)
def test_they_are_the_mean_over_all_orders_and_add_up(game: tuple[int, np.ndarray]) -> None:
    count, values = game
    found = shapley_matrix(count) @ values
    np.testing.assert_allclose(found, by_orders(count, values), atol=1e-9)
    assert found.sum() == pytest.approx(values[-1] - values[0], abs=1e-9)


@given(GAMES, st.data())
def test_a_player_that_changes_nothing_gets_nothing(game: tuple[int, np.ndarray], data: st.DataObject) -> None:
    count, values = game
    idle = data.draw(st.integers(0, count - 1))
    without = np.array([values[coalition & ~(1 << idle)] for coalition in range(2**count)])
    assert (shapley_matrix(count) @ without)[idle] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_two_that_need_each_other_interact_by_what_only_both_bring(count: int) -> None:
    """The game that pays 1 where both of the first two are there: 1 for that pair, 0 for all others."""
    values = np.array([float(coalition & 0b11 == 0b11) for coalition in range(2**count)])
    pairs, matrix = interaction_matrix(count)
    found = dict(zip(pairs, matrix @ values, strict=True))
    assert found.pop((0, 1)) == pytest.approx(1.0)
    assert all(index == pytest.approx(0.0) for index in found.values())


def test_two_that_say_the_same_interact_below_zero() -> None:
    _, matrix = interaction_matrix(2)
    assert (matrix @ np.array([0.0, 1.0, 1.0, 1.0]))[0] == pytest.approx(-1.0)


def test_one_modality_has_no_pair() -> None:
    pairs, matrix = interaction_matrix(1)
    assert pairs == [] and matrix.shape == (0, 2)
