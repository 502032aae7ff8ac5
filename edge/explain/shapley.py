"""Exact Shapley values and interaction indices of modalities, as matrices over all coalitions."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shapley_matrix(count: int) -> NDArray[np.float64]:
    """Weights `[count, 2^count]` that make each player's Shapley value of the values of all coalitions.

    A player's value is the mean, over all orders in which players may join, of what it adds when it does (Shapley,
    *A Value for n-Person Games*, 1953). Bit m of a coalition's index says whether player m is in it.

    Args:
        count: Players.
    """
    matrix = np.zeros((count, 2**count))
    for coalition in range(2**count):
        size = coalition.bit_count()
        for player in range(count):
            if coalition >> player & 1:
                matrix[player, coalition] = factorial(size - 1) * factorial(count - size) / factorial(count)
            else:
                matrix[player, coalition] = -factorial(size) * factorial(count - size - 1) / factorial(count)
    return matrix


def interaction_matrix(count: int) -> tuple[list[tuple[int, int]], NDArray[np.float64]]:
    """Pairs, and weights `[pairs, 2^count]` that make each pair's interaction index.

    The index is the mean over coalitions of what two players add together beyond what each adds alone (Grabisch and
    Roubens, *An axiomatic approach to the concept of interaction among players*, 1999): above 0 they need each other,
    below 0 they say the same.

    Args:
        count: Players, at least 2 for there to be a pair.
    """
    pairs = list(combinations(range(count), 2))
    matrix = np.zeros((len(pairs), 2**count))
    for row, (one, other) in enumerate(pairs):
        both = 1 << one | 1 << other
        for coalition in range(2**count):
            rest = (coalition & ~both).bit_count()
            weight = factorial(rest) * factorial(count - rest - 2) / factorial(count - 1)
            matrix[row, coalition] = weight if (coalition & both).bit_count() % 2 == 0 else -weight
    return pairs, matrix
