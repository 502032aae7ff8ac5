"""Which samples might fail together: groups by attribute, class, missing modality and input statistic, and pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from edge.explain.output_readings import ACTUAL
from edge.explain.statistics_of_inputs import input_statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.compress.samples import SampleSet
    from edge.explain.coalitions import Answers
    from edge.explain.config import SliceConfig
    from edge.runtime.model_io import ModelIO

_MISSING = "missing modality"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A group of samples.

    Attributes:
        conditions: What they have in common, `{name: value}` in words.
        members: bool `[N]`.
        wider: For a pair the two groups that it is the common part of; empty for others.
    """

    conditions: dict[str, str]
    members: NDArray[np.bool_]
    wider: tuple[Candidate, ...] = ()


def single_candidates(
    data: SampleSet, answers: Answers, model_io: ModelIO, recording: NDArray[np.int64], config: SliceConfig
) -> list[Candidate]:
    """All groups by one property that are large enough, and are not everybody.

    Args:
        data: The split.
        answers: Say what is true of each sample.
        model_io: Says what each input is.
        recording: Number of each sample's recording.
        config: How large, how many parts.
    """
    found = [
        *_by_attribute(data),
        *_by_class(answers),
        *_by_lack(data, answers.modalities),
        *_by_statistic(input_statistics(data, model_io), config.quantiles),
    ]
    return [c for c in found if _is_large(c.members, recording, config) and not c.members.all()]


def pair_candidates(singles: list[Candidate], recording: NDArray[np.int64], config: SliceConfig) -> Iterator[Candidate]:
    """What two groups by different properties have in common, where that is large enough and neither of the two."""
    for one, other in combinations(singles, 2):
        if one.conditions.keys() & other.conditions.keys():
            continue
        members = one.members & other.members
        smaller = members.sum() < min(one.members.sum(), other.members.sum())
        if smaller and _is_large(members, recording, config):
            yield Candidate({**one.conditions, **other.conditions}, members, (one, other))


def _is_large(members: NDArray[np.bool_], recording: NDArray[np.int64], config: SliceConfig) -> bool:
    if members.sum() < config.min_samples:
        return False
    return len(np.unique(recording[members])) >= config.min_recordings


def _by_attribute(data: SampleSet) -> Iterator[Candidate]:
    for name, values in data.attributes.items():
        every = np.asarray(values)
        for value in np.unique(every):
            yield Candidate({name: str(value)}, every == value)


def _by_class(answers: Answers) -> Iterator[Candidate]:
    for at, name in enumerate(answers.class_names):
        yield Candidate({"class": name}, answers.complete.classes[:, at, ACTUAL] > 0)


def _by_lack(data: SampleSet, modalities: tuple[str, ...]) -> Iterator[Candidate]:
    if data.available is not None:
        for at, name in enumerate(modalities):
            yield Candidate({_MISSING: name}, np.asarray(data.available[:, at].numpy() == 0))


def _by_statistic(statistics: dict[str, NDArray[np.float64]], parts: int) -> Iterator[Candidate]:
    """Equal parts; fewer where many samples share a value."""
    for name, values in statistics.items():
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, parts + 1)))
        for low, high in pairwise(edges):
            inside = (values >= low) & ((values < high) | (high == edges[-1]) & (values <= high))
            yield Candidate({name: f"{low:.3g} to {high:.3g}"}, inside)
