"""How much each modality contributes to the score and to the probability of the truth, and which ones overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.explain.output_readings import ACTUAL
from edge.explain.recording_draws import Quantity
from edge.explain.shapley import interaction_matrix, shapley_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.explain.coalitions import Answers
    from edge.explain.recording_draws import RecordingDraws

Together = Literal["synergetic", "redundant", "undecided"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PairInteraction(_Record):
    """Two modalities.

    Attributes:
        modalities: Which.
        index: Interaction index in points; above 0 they need each other, below 0 they say the same.
        together: What the interval of `index` shows.
    """

    modalities: tuple[str, str]
    index: Quantity
    together: Together


class Contribution(_Record):
    """Shapley values of one figure; they add up to `complete - blind`.

    Attributes:
        figure: `score`, or `truth`: the mean probability of what is true, times 100.
        blind: Points of the prior, which sees nothing and knows how often each class occurs.
        complete: Points with everything present.
        modalities: Points that each contributes.
        pairs: How they go together.
    """

    figure: Literal["score", "truth"]
    blind: float
    complete: Quantity
    modalities: dict[str, Quantity]
    pairs: tuple[PairInteraction, ...]


class ClassContribution(_Record):
    """Points of `truth` that each modality contributes, over the samples that have a class.

    Attributes:
        class_name: Which.
        samples: How many have it.
        modalities: Mean contribution of each.
    """

    class_name: str
    samples: int
    modalities: dict[str, Quantity]


def score_contribution(answers: Answers, draws: RecordingDraws) -> Contribution:
    """Shapley values of the score, which is computed anew for every coalition and draw."""
    counts = np.stack([c.metric for c in answers.coalitions], 1)
    values = answers.score(counts.sum(0))
    replicates = answers.score(draws.replicates(counts))
    return _contribution("score", answers.modalities, values, replicates, draws)


def truth_contribution(answers: Answers, draws: RecordingDraws) -> Contribution:
    """Shapley values of the probability of the truth."""
    truth = _truth_points(answers)
    replicates = draws.replicates(truth) / draws.replicates(np.ones((len(truth), 1)))
    return _contribution("truth", answers.modalities, truth.mean(0), replicates, draws)


def contributions_of_classes(answers: Answers, draws: RecordingDraws) -> tuple[ClassContribution, ...]:
    """The same by what is true; a sample with several classes counts for each."""
    per_sample = sample_contributions(answers)
    return tuple(
        _class_contribution(name, answers.modalities, per_sample, has, draws)
        for name, has in zip(answers.class_names, _having(answers).T, strict=True)
        if has.any()
    )


def sample_contributions(answers: Answers) -> NDArray[np.float64]:
    """Points of the probability of the truth that each modality contributes to each sample, `[N, modalities]`."""
    return np.asarray(_truth_points(answers) @ shapley_matrix(len(answers.modalities)).T)


def score_replicates(answers: Answers, draws: RecordingDraws) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shapley values of the score, `[modalities]`, and of each draw, `[resamples, modalities]`."""
    counts = np.stack([c.metric for c in answers.coalitions], 1)
    matrix = shapley_matrix(len(answers.modalities))
    return matrix @ answers.score(counts.sum(0)), answers.score(draws.replicates(counts)) @ matrix.T


def _truth_points(answers: Answers) -> NDArray[np.float64]:
    return np.asarray(100.0 * np.stack([c.truth for c in answers.coalitions], 1))


def _having(answers: Answers) -> NDArray[np.bool_]:
    return np.asarray(answers.complete.classes[:, :, ACTUAL] > 0)


def _contribution(
    figure: Literal["score", "truth"],
    modalities: tuple[str, ...],
    values: NDArray[np.float64],
    replicates: NDArray[np.float64],
    draws: RecordingDraws,
) -> Contribution:
    matrix = shapley_matrix(len(modalities))
    shares, drawn = matrix @ values, replicates @ matrix.T
    return Contribution(
        figure=figure,
        blind=float(values[0]),
        complete=draws.quantity(float(values[-1]), replicates[:, -1]),
        modalities={m: draws.quantity(float(shares[at]), drawn[:, at]) for at, m in enumerate(modalities)},
        pairs=_pairs(modalities, values, replicates, draws),
    )


def _pairs(
    modalities: tuple[str, ...], values: NDArray[np.float64], replicates: NDArray[np.float64], draws: RecordingDraws
) -> tuple[PairInteraction, ...]:
    pairs, matrix = interaction_matrix(len(modalities))
    found = []
    for row, (one, other) in enumerate(pairs):
        index = draws.quantity(float(matrix[row] @ values), replicates @ matrix[row])
        names = (modalities[one], modalities[other])
        found.append(PairInteraction(modalities=names, index=index, together=_together(index)))
    return tuple(found)


def _together(index: Quantity) -> Together:
    if index.interval is None or index.interval.low <= 0 <= index.interval.high:
        return "undecided"
    return "synergetic" if index.value > 0 else "redundant"


def _class_contribution(
    name: str,
    modalities: tuple[str, ...],
    per_sample: NDArray[np.float64],
    has: NDArray[np.bool_],
    draws: RecordingDraws,
) -> ClassContribution:
    drawn = draws.replicates(np.column_stack([per_sample * has[:, None], has]))
    recordings = len(np.unique(draws.recording[has]))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = drawn[:, :-1] / drawn[:, -1:]
    values = per_sample[has].mean(0)
    found = {m: draws.quantity(float(values[at]), means[:, at], recordings) for at, m in enumerate(modalities)}
    return ClassContribution(class_name=name, samples=int(has.sum()), modalities=found)
