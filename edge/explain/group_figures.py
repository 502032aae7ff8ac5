"""What a model is worth to each group of an attribute: score, rates of each class, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from edge.explain.group_gaps import Support
from edge.explain.output_readings import ACTUAL, HIT, SAID
from edge.training.reliability import BINS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.explain.coalitions import Answers, CoalitionAnswers
    from edge.explain.recording_draws import RecordingDraws

    # Of class counts `[..., groups, classes, 3]` and sizes `[..., groups, 1]`: what is counted, and of how many.
    Parts = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True)
class ClassRates:
    """Figures of each class and group, in points; NaN where there is nothing to take them of.

    Attributes:
        values: `[classes, groups]`.
        replicates: `[resamples, classes, groups]`.
    """

    values: NDArray[np.float64]
    replicates: NDArray[np.float64]


@dataclass(frozen=True)
class GroupFigures:
    """The groups of one attribute, with everything present.

    Attributes:
        names: Of the groups.
        member: `[N]`, index of each sample's group.
        answers: Of the model.
        draws: Over recordings.
    """

    names: tuple[str, ...]
    member: NDArray[np.int64]
    answers: Answers
    draws: RecordingDraws

    @classmethod
    def of_attribute(cls, values: Sequence[str], answers: Answers, draws: RecordingDraws) -> GroupFigures:
        """Groups by the values of an attribute, one a sample."""
        names, member = np.unique(np.asarray(values), return_inverse=True)
        return cls(tuple(str(name) for name in names), member, answers, draws)

    @cached_property
    def support(self) -> Support:
        """Of each group: `[1, groups]`."""
        return self._support(np.ones((len(self.member), 1), np.bool_))

    @cached_property
    def class_support(self) -> Support:
        """Samples and recordings that have each class: `[classes, groups]`."""
        return self._support(self.answers.complete.classes[:, :, ACTUAL] > 0)

    def _support(self, has: NDArray[np.bool_]) -> Support:
        groups, recordings = len(self.names), self.draws.count
        places = self.member * recordings + self.draws.recording
        counts = np.stack([np.bincount(places, column, minlength=groups * recordings) for column in has.T])
        by_recording = counts.reshape(-1, groups, recordings)
        return Support(by_recording.sum(2).astype(np.int64), (by_recording > 0).sum(2))

    def scores(self, coalition: CoalitionAnswers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points `[groups]`, and of each draw `[resamples, groups]`."""
        sums, drawn = self._sums(coalition.metric)
        return self.answers.score(sums), self.answers.score(drawn)

    @cached_property
    def recall(self) -> ClassRates:
        """Share of what is there that is found."""
        return self._rates(lambda c, n: (c[..., HIT], c[..., ACTUAL]))

    @cached_property
    def false_alarms(self) -> ClassRates:
        """Share of what is not there that is said to be."""
        return self._rates(lambda c, n: (c[..., SAID] - c[..., HIT], n * self.answers.chances - c[..., ACTUAL]))

    @cached_property
    def said(self) -> ClassRates:
        """Share of chances at which a class is said to be there."""
        return self._rates(lambda c, n: (c[..., SAID], n * self.answers.chances))

    def calibration_errors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected calibration error in points `[groups]`, and of each draw.

        The mean distance of confidence from the share that is right, over bins of confidence (Guo et al. 2017). In a
        small group chance alone makes it large, so that groups of different sizes do not compare by it.
        """
        sums, drawn = self._sums(self.answers.complete.reliability)
        return _calibration(sums), _calibration(drawn)

    @cached_property
    def _class_sums(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._sums(self.answers.complete.classes)

    @cached_property
    def _sizes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._sums(np.ones((len(self.member), 1)))

    def _rates(self, parts: Parts) -> ClassRates:
        found = []
        for sums, sizes in zip(self._class_sums, self._sizes, strict=True):
            hits, of = parts(sums, sizes)
            with np.errstate(invalid="ignore", divide="ignore"):
                found.append(np.where(of > 0, 100.0 * hits / of, np.nan).swapaxes(-1, -2))
        return ClassRates(*found)

    def _sums(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`[N, ...]` added up by group, `[groups, ...]`, and of each draw `[resamples, groups, ...]`."""
        one_of = self.member[:, None] == np.arange(len(self.names))
        spread = values[:, None] * one_of.reshape(*one_of.shape, *([1] * (values.ndim - 1)))
        return spread.sum(0), self.draws.replicates(spread)


def _calibration(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    decisions, confidence, right = np.moveaxis(sums.reshape(*sums.shape[:-1], BINS, 3), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * np.abs(confidence - right).sum(-1) / decisions.sum(-1))
