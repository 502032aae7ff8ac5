"""Modality states: which of a model's modalities are there (`all`, `no_camera`, `only_audio`, ...)."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BLIND = "blind"


def state_name(present: Iterable[str], modalities: Sequence[str]) -> str:
    """Name of the state in which exactly `present` of `modalities` are there.

    One missing of three or more is `no_x`, one alone is `only_x`, anything else joins names by `+`.
    """
    there = [m for m in modalities if m in set(present)]
    if len(there) == len(modalities):
        return "all"
    if not there:
        return BLIND
    if len(there) == 1:
        return f"only_{there[0]}"
    if len(there) == len(modalities) - 1:
        return f"no_{next(m for m in modalities if m not in there)}"
    return "+".join(there)


def all_states(modalities: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Every state but `blind`, from complete to single, with the modalities it has."""
    subsets = (subset for size in range(len(modalities), 0, -1) for subset in combinations(modalities, size))
    return {state_name(subset, modalities): subset for subset in subsets}


def choose_state(present: Iterable[str], modalities: Sequence[str], validated: Mapping[str, float]) -> str:
    """The validated state to run: the largest contained in `present`, ties by score.

    Args:
        present: Modalities whose samples are usable now.
        modalities: All modalities of the model, in its order.
        validated: Score of each state that was measured and accepted.

    Returns:
        A state's name, or `blind` where none fits.
    """
    available = set(present)
    states = all_states(modalities)
    fitting = [s for s in validated if s in states and available.issuperset(states[s])]
    return max(fitting, key=lambda s: (len(states[s]), validated[s]), default=BLIND)
