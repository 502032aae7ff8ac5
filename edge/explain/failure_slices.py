"""Where a model fails: groups of samples whose error is above the rest's, and the worst samples one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.explain.contribution import sample_contributions
from edge.explain.excess_error import discovery_rates, excess_p_value, intraclass_correlation
from edge.explain.output_readings import ACTUAL, SAID
from edge.explain.recording_draws import Quantity
from edge.explain.slice_candidates import pair_candidates, single_candidates
from edge.runtime.states import BLIND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.compress.samples import SampleSet
    from edge.explain.coalitions import Answers
    from edge.explain.config import SliceConfig
    from edge.explain.recording_draws import RecordingDraws
    from edge.explain.slice_candidates import Candidate
    from edge.runtime.model_io import ModelIO

_ALL = "all"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FailureSlice(_Record):
    """Samples that fail more than the rest.

    Attributes:
        state: Modality state.
        conditions: What they have in common, `{name: value}`.
        samples: How many.
        recordings: That they are from.
        error: Their mean error in %.
        rest: That of all others, in %.
        excess: Points of error above the rest.
        false_discovery: Rate of chance findings among all that are as significant as this one.
    """

    state: str
    conditions: dict[str, str]
    samples: int
    recordings: int
    error: float
    rest: float
    excess: Quantity
    false_discovery: float


class WorstSample(_Record):
    """A sample with an error, with everything present.

    Attributes:
        id: As in the dataset.
        recording: That it is from.
        attributes: As in the dataset.
        actual: Classes that are there.
        said: Classes that the model found.
        truth: Probability that it gave to what is true, in %.
        contributions: Points of that probability that each modality contributes; the one below 0 misled.
    """

    id: str
    recording: str
    attributes: dict[str, str]
    actual: tuple[str, ...]
    said: tuple[str, ...]
    truth: float
    contributions: dict[str, float]


class Failures(_Record):
    """What the search found.

    Attributes:
        slices: Most excess errors first.
        tested: Groups that were large enough, in all states.
        found: Slices, listed or not.
        worst: Least probability of the truth first.
    """

    slices: tuple[FailureSlice, ...]
    tested: int
    found: int
    worst: tuple[WorstSample, ...]


def find_failures(
    data: SampleSet, answers: Answers, model_io: ModelIO, draws: RecordingDraws, config: SliceConfig
) -> Failures:
    """Tests every group in every modality state, pairs of groups with everything present.

    A slice must pass the false discovery rate over all tests, and its clustered interval must lie above the rest. A
    pair must fail more than the rest of everybody and than the rest of each of the two groups that it is the common
    part of: otherwise the wider group says it.

    Args:
        data: The split.
        answers: Of the model.
        model_io: Says what each input is.
        draws: For the intervals.
        config: What counts as a slice.
    """
    recording = draws.recording
    singles = single_candidates(data, answers, model_io, recording, config)
    tests: list[tuple[str, Candidate]] = [(s, c) for s in answers.states if s != BLIND for c in singles]
    tests += [(_ALL, pair) for pair in pair_candidates(singles, recording, config)]
    alike = {s: intraclass_correlation(c.error, recording) for s, c in answers.states.items()}
    level = config.false_discovery
    chances = np.array([_chance(answers.states[s].error, c, recording, alike[s], level) for s, c in tests])
    rates = discovery_rates(chances)
    significant = [at for at in range(len(tests)) if rates[at] <= level]
    found = [_described(*tests[at], float(rates[at]), answers, draws) for at in significant]
    slices = sorted((f for f in found if _is_above(f.excess)), key=lambda f: -f.excess.value * f.samples)
    return Failures(
        slices=tuple(slices[: config.listed]),
        tested=len(tests),
        found=len(slices),
        worst=worst_samples(data, answers, config.listed),
    )


def worst_samples(data: SampleSet, answers: Answers, count: int) -> tuple[WorstSample, ...]:
    """Samples with an error, the least probability of the truth first."""
    complete, added = answers.complete, sample_contributions(answers)
    order = [int(at) for at in np.argsort(complete.truth, kind="stable") if complete.error[at] > 0]
    return tuple(
        WorstSample(
            id=data.ids[at],
            recording=data.recordings[at],
            attributes={name: values[at] for name, values in data.attributes.items()},
            actual=named_classes(answers, complete.classes[at, :, ACTUAL]),
            said=named_classes(answers, complete.classes[at, :, SAID]),
            truth=100.0 * float(complete.truth[at]),
            contributions=dict(zip(answers.modalities, map(float, added[at]), strict=True)),
        )
        for at in order[:count]
    )


def named_classes(answers: Answers, counts: NDArray[np.float64]) -> tuple[str, ...]:
    """Those that occur."""
    return tuple(name for name, count in zip(answers.class_names, counts, strict=True) if count > 0)


def _chance(
    errors: NDArray[np.float64], candidate: Candidate, recording: NDArray[np.int64], alike: float, level: float
) -> float:
    """The largest of a candidate's chances; the wider groups are not asked where the level is missed already."""
    chances = [excess_p_value(errors, candidate.members, recording, alike)]
    for wider in candidate.wider if chances[0] <= level else ():
        within = wider.members
        chances.append(excess_p_value(errors[within], candidate.members[within], recording[within], alike))
    return max(chances)


def _described(state: str, candidate: Candidate, rate: float, answers: Answers, draws: RecordingDraws) -> FailureSlice:
    errors, members = 100.0 * answers.states[state].error, candidate.members
    inside = float(errors[members].mean())
    rest = float(errors[~members].mean())
    columns = np.column_stack([errors * members, members, errors * ~members, ~members])
    drawn = draws.replicates(columns.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        differences = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    recordings = len(np.unique(draws.recording[members]))
    return FailureSlice(
        state=state,
        conditions=candidate.conditions,
        samples=int(members.sum()),
        recordings=recordings,
        error=inside,
        rest=rest,
        excess=draws.quantity(inside - rest, differences, recordings),
        false_discovery=rate,
    )


def _is_above(excess: Quantity) -> bool:
    return excess.interval is not None and excess.interval.low > 0
