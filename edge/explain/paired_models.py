"""One model against another on the same samples: what compression took, and from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.explain.bias import is_judged
from edge.explain.contribution import score_replicates
from edge.explain.group_figures import GroupFigures
from edge.explain.group_gaps import largest_gap
from edge.explain.recording_draws import Quantity
from edge.runtime.errors import DataError
from edge.runtime.states import BLIND
from edge.runtime.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.samples import SampleSet
    from edge.explain.coalitions import Answers
    from edge.explain.config import BiasConfig
    from edge.explain.recording_draws import RecordingDraws


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AttributeLosses(_Record):
    """Points of score that each group of an attribute lost.

    Attributes:
        attribute: Its name.
        groups: By value; positive is a loss.
        gap: Between the groups that lost most and least, of those that are large enough; None where there are no two.
        most: Group that lost most.
        least: Group that lost least.
    """

    attribute: str
    groups: dict[str, Quantity]
    gap: Interval | None = None
    most: str | None = None
    least: str | None = None


class ModelComparison(_Record):
    """A model against the one before it.

    Attributes:
        against: What is compared with, in words.
        states: Points of score lost in each modality state.
        contributions: Points of score that each modality contributes more than before.
        attributes: Who lost what.
    """

    against: str
    states: dict[str, Quantity]
    contributions: dict[str, Quantity]
    attributes: tuple[AttributeLosses, ...]


def compare_models(
    against: str, data: SampleSet, before: Answers, after: Answers, draws: RecordingDraws, config: BiasConfig
) -> ModelComparison:
    """Differences paired by sample: both models are scored on the same draws.

    Args:
        against: Names the model before.
        data: That both have answered.
        before: Answers of the model before.
        after: Of the one that is explained.
        draws: Over its recordings.
        config: Which attributes.

    Raises:
        DataError: The two have other modalities or classes.
    """
    if (before.modalities, before.class_names) != (after.modalities, after.class_names):
        raise DataError(
            f"{against} has the modalities {list(before.modalities)} and the classes {list(before.class_names)}, "
            f"the other {list(after.modalities)} and {list(after.class_names)}",
            "compare models of one task",
        )
    return ModelComparison(
        against=against,
        states=_lost_by_state(before, after, draws),
        contributions=_more_contributed(before, after, draws),
        attributes=tuple(
            _lost_by_group(name, data.attributes[name], before, after, draws, config) for name in config.attributes
        ),
    )


def _lost_by_state(before: Answers, after: Answers, draws: RecordingDraws) -> dict[str, Quantity]:
    lost = {}
    for state, coalition in after.states.items():
        if state != BLIND:
            first, second = before.states[state].metric, coalition.metric
            value = float(before.score(first.sum(0)) - after.score(second.sum(0)))
            drawn = before.score(draws.replicates(first)) - after.score(draws.replicates(second))
            lost[state] = draws.quantity(value, drawn)
    return lost


def _more_contributed(before: Answers, after: Answers, draws: RecordingDraws) -> dict[str, Quantity]:
    (first, drawn_first), (second, drawn_second) = score_replicates(before, draws), score_replicates(after, draws)
    more, drawn = second - first, drawn_second - drawn_first
    return {m: draws.quantity(float(more[at]), drawn[:, at]) for at, m in enumerate(after.modalities)}


def _lost_by_group(
    name: str, values: Sequence[str], before: Answers, after: Answers, draws: RecordingDraws, config: BiasConfig
) -> AttributeLosses:
    sides = [GroupFigures.of_attribute(values, answers, draws) for answers in (before, after)]
    (first, drawn_first), (second, drawn_second) = (side.scores(side.answers.complete) for side in sides)
    lost, drawn = first - second, drawn_first - drawn_second
    figures = sides[1]
    shown = np.where(is_judged(figures, config), lost, np.nan)[None]
    gap = largest_gap(shown, drawn[:, None], figures.support, draws.confidence)
    groups = {
        group: draws.quantity(float(lost[at]), drawn[:, at], int(figures.support.recordings[0, at]))
        for at, group in enumerate(figures.names)
    }
    if gap is None:
        return AttributeLosses(attribute=name, groups=groups)
    most, least = figures.names[gap.high], figures.names[gap.low]
    return AttributeLosses(attribute=name, groups=groups, gap=gap.interval, most=most, least=least)
