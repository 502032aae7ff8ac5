"""Precision, recall and F1 of each class, and which class is taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class ClassScores(BaseModel):
    """One class.

    Attributes:
        name: As in io.yaml.
        precision: Share of its predictions that are right, in points; 0 where there is none.
        recall: Share of its occurrences that were found, alike.
        f1: Harmonic mean of the two.
        support: Occurrences.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    precision: float
    recall: float
    f1: float
    support: int


class Confusion(BaseModel):
    """How often each class was taken for each.

    Attributes:
        labels: Of rows and columns.
        counts: A row for each actual class, a column for each predicted one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def scores_of_answers(names: Sequence[str], actual: NDArray[Any], predicted: NDArray[Any]) -> tuple[ClassScores, ...]:
    """Scores by scikit-learn.

    Args:
        names: Of the classes.
        actual: int `[n]`, one class each; or bool `[n, classes]`, any number of them.
        predicted: Alike.

    Raises:
        MissingDependencyError: scikit-learn is absent.
    """
    metrics = require_module("sklearn.metrics")
    labels = range(len(names))
    columns = metrics.precision_recall_fscore_support(actual, predicted, labels=labels, zero_division=0)
    return tuple(
        ClassScores(name=name, precision=100 * p, recall=100 * r, f1=100 * f, support=int(n))
        for name, p, r, f, n in zip(names, *columns, strict=True)
    )


def scores_of_counts(
    names: Sequence[str], hits: Sequence[float], predicted: Sequence[float], actual: Sequence[float]
) -> tuple[ClassScores, ...]:
    """The same from how often each class was right, predicted and there.

    For answers that must be right in more than their class, which scikit-learn cannot tell.
    """
    rows = zip(names, hits, predicted, actual, strict=True)
    return tuple(
        ClassScores(
            name=name,
            precision=100 * hit / max(said, 1),
            recall=100 * hit / max(there, 1),
            f1=200 * hit / max(said + there, 1),
            support=int(there),
        )
        for name, hit, said, there in rows
    )


def confusion_of(names: Sequence[str], actual: NDArray[Any], predicted: NDArray[Any]) -> Confusion:
    """Counts of each pair by scikit-learn; int `[n]` both.

    Raises:
        MissingDependencyError: scikit-learn is absent.
    """
    found = require_module("sklearn.metrics").confusion_matrix(actual, predicted, labels=range(len(names)))
    return Confusion(labels=tuple(names), counts=tuple(tuple(int(n) for n in row) for row in found))
