"""Whom a model fails: groups of the attributes that a user names, how far apart they are, and whether that may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.compress.gates.findings import Verdict
from edge.explain.config import BiasConfig, GatedMetric
from edge.explain.gap_wording import lone_group_note, undecided_gap
from edge.explain.group_figures import GroupFigures
from edge.explain.group_findings import AttributeFinding, GapFinding, GroupFinding
from edge.explain.group_gaps import Support, largest_gap
from edge.runtime.errors import ConfigError
from edge.runtime.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.compress.samples import SampleSet
    from edge.explain.coalitions import Answers
    from edge.explain.recording_draws import RecordingDraws


MOST_GROUPS = 100  # names of persons or samples are no groups


def compare_groups(
    data: SampleSet, answers: Answers, draws: RecordingDraws, config: BiasConfig
) -> tuple[AttributeFinding, ...]:
    """Groups of each attribute that `config` names.

    Raises:
        ConfigError: The dataset has no such attribute, or it has too many values to be groups.
    """
    refuse_unfit_attributes(data, config.attributes)
    return tuple(_attribute(name, data.attributes[name], answers, draws, config) for name in config.attributes)


def refuse_unfit_attributes(data: SampleSet, attributes: Sequence[str]) -> None:
    """Checks names before a model is run for them.

    Raises:
        ConfigError: The dataset has no such attribute, or it has too many values to be groups.
    """
    for name in attributes:
        if name not in data.attributes:
            known = ", ".join(sorted(data.attributes)) or "none at all"
            raise ConfigError(
                f"the samples of split '{data.split}' have no attribute '{name}' (there is {known})",
                "name one that there is, or prepare the dataset with it",
            )
        values = len(set(data.attributes[name]))
        if values > MOST_GROUPS:
            raise ConfigError(
                f"attribute '{name}' has {values:,} values, too many to be groups",
                f"name one of at most {MOST_GROUPS} values, e.g. an age band in place of an age",
            )


def is_judged(figures: GroupFigures, config: BiasConfig) -> NDArray[np.bool_]:
    """Which groups `[groups]` are large enough to be compared."""
    support = figures.support
    enough = (support.samples >= config.min_samples) & (support.recordings >= config.min_recordings)
    return np.asarray(enough[0])


def _attribute(
    name: str, values: Sequence[str], answers: Answers, draws: RecordingDraws, config: BiasConfig
) -> AttributeFinding:
    figures = GroupFigures.of_attribute(values, answers, draws)
    judged = is_judged(figures, config)
    gaps = _gaps(figures, judged, config)
    wording = [undecided_gap(name, g, draws.count) for g in gaps if g.verdict == "undecided"]
    if judged.sum() < 2:
        wording.append(lone_group_note(name, int(judged.sum()), config))
    groups = _groups(figures, judged, config)
    return AttributeFinding(attribute=name, groups=groups, gaps=gaps, notes=tuple(wording))


def _groups(figures: GroupFigures, judged: NDArray[np.bool_], config: BiasConfig) -> tuple[GroupFinding, ...]:
    scores, drawn = figures.scores(figures.answers.complete)
    off, drawn_off = figures.calibration_errors()
    recall, enough = figures.recall, figures.class_support.recordings >= config.min_recordings
    found = []
    for at, group in enumerate(figures.names):
        clusters = int(figures.support.recordings[0, at])
        quantity = figures.draws.quantity
        recalls = {
            name: quantity(float(recall.values[c, at]), recall.replicates[:, c, at], clusters)
            for c, name in enumerate(figures.answers.class_names)
            if enough[c, at]
        }
        found.append(
            GroupFinding(
                group=group,
                samples=int(figures.support.samples[0, at]),
                recordings=clusters,
                judged=bool(judged[at]),
                score=quantity(float(scores[at]), drawn[:, at], clusters),
                recall=recalls,
                calibration_error=quantity(float(off[at]), drawn_off[:, at], clusters)
                if np.isfinite(off[at])
                else None,
            )
        )
    return tuple(sorted(found, key=lambda f: f.score.value))


def _gaps(figures: GroupFigures, judged: NDArray[np.bool_], config: BiasConfig) -> tuple[GapFinding, ...]:
    scores, drawn = figures.scores(figures.answers.complete)
    classes, of_class = figures.answers.class_names, figures.class_support
    recall = np.where((of_class.recordings >= config.min_recordings) & judged, figures.recall.values, np.nan)
    alarms = np.where(judged, figures.false_alarms.values, np.nan)
    everyone = _repeated(figures.support, len(classes))
    tables: tuple[_Table, ...] = (
        _Table("score", (), np.where(judged, scores, np.nan)[None], drawn[:, None], figures.support),
        _Table("recall", classes, recall, figures.recall.replicates, of_class),
        _Table(
            "demographic_parity",
            classes,
            np.where(judged, figures.said.values, np.nan),
            figures.said.replicates,
            everyone,
        ),
        _Table(
            "equalized_odds",
            classes * 2,
            np.concatenate([recall, alarms]),
            np.concatenate([figures.recall.replicates, figures.false_alarms.replicates], 1),
            _joined_support(of_class, everyone),
        ),
    )
    found = [_gap(figures, config, table) for table in tables]
    return tuple(gap for gap in found if gap is not None)


@dataclass(frozen=True)
class _Table:
    metric: GatedMetric
    classes: tuple[str, ...]
    values: NDArray[np.float64]
    replicates: NDArray[np.float64]
    support: Support


def _repeated(support: Support, times: int) -> Support:
    return Support(support.samples.repeat(times, 0), support.recordings.repeat(times, 0))


def _joined_support(one: Support, other: Support) -> Support:
    return Support(np.concatenate([one.samples, other.samples]), np.concatenate([one.recordings, other.recordings]))


def _gap(figures: GroupFigures, config: BiasConfig, table: _Table) -> GapFinding | None:
    found = largest_gap(table.values, table.replicates, table.support, figures.draws.confidence)
    if found is None:
        return None
    limit = config.max_gap if table.metric in config.gated else None
    return GapFinding(
        metric=table.metric,
        class_name=table.classes[found.figure] if table.classes else None,
        low=figures.names[found.low],
        high=figures.names[found.high],
        gap=found.interval,
        limit=limit,
        verdict="free" if limit is None else _verdict(found.interval, limit),
    )


def _verdict(gap: Interval, limit: float) -> Verdict:
    if gap.high <= limit:
        return "passed"
    return "refused" if gap.low > limit else "undecided"
