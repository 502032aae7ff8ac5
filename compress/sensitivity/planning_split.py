"""The validation samples that a plan is searched by, and those that are left for the gate to judge it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.compress.sensitivity.verified_plan import PlanningSamples
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from edge.compress.samples import SampleSet
    from edge.compress.sensitivity.config import JudgedOn

_SEED = 0  # of which recordings the search sees: always the same ones, or a replay would be judged by others


def planning_samples(validation: SampleSet, judged_on: JudgedOn) -> tuple[SampleSet, PlanningSamples]:
    """What a search may look at, and what is noted of it.

    Args:
        validation: The whole split.
        judged_on: All of it, or half of its recordings with all of their samples.

    Raises:
        DataError: It has a single recording, which cannot be halved.
    """
    names = list(dict.fromkeys(validation.recordings))
    if judged_on == "half":
        if len(names) < 2:
            raise DataError(
                f"the {validation.split} split has one recording, '{names[0]}', and a plan is to be searched by half "
                "of them",
                "record more, or set search.judged_on: validation, so that the gate sees what the search saw",
            )
        names = [names[row] for row in searched_rows(len(names))]
    seen = set(names)
    rows = [row for row, recording in enumerate(validation.recordings) if recording in seen]
    noted = PlanningSamples(judged_on=judged_on, recordings=len(names), samples=len(rows))
    return validation.subset(rows), noted


def searched_rows(recordings: int) -> list[int]:
    """Which recordings a search sees, by their place in the order of first samples: half of them, rounded down."""
    drawn = np.random.default_rng(_SEED).permutation(recordings)[: recordings // 2]
    return sorted(drawn.tolist())
