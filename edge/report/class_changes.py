"""What compression did to each class, and to how far confidences can be trusted: first stage against last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from edge.training.class_scores import ClassScores
    from edge.training.detailed_metrics import DetailedMetrics, OutputMetrics

EVERYTHING = "all"  # the modality state that classes are shown in


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ClassFigures(_Strict):
    """A class's scores in one stage, in points."""

    precision: float
    recall: float
    f1: float


class ClassChange(_Strict):
    """One class in both stages, everything present.

    Attributes:
        name: As in io.yaml.
        support: Occurrences in the test split.
        before: Of the first stage.
        after: Of the last.
    """

    name: str
    support: int = Field(ge=0)
    before: ClassFigures
    after: ClassFigures

    @property
    def gained(self) -> float:
        """Points of F1; negative where it lost."""
        return self.after.f1 - self.before.f1


class ErrorChange(_Strict):
    """Expected calibration error in points, a mean over an output's events; None where nothing was there to judge."""

    before: float | None
    after: float | None


class OutputChanges(_Strict):
    """One output.

    Attributes:
        classes: Those that lost most F1 first.
        calibration_error: By modality state.
    """

    classes: tuple[ClassChange, ...]
    calibration_error: dict[str, ErrorChange]


class ClassChanges(_Strict):
    """Two stages on the same test split.

    Attributes:
        first: Name of the first stage.
        last: Name of the last one that passed.
        outputs: By tensor.
    """

    first: str
    last: str
    outputs: dict[str, OutputChanges]

    @classmethod
    def between(cls, first: str, last: str, before: DetailedMetrics, after: DetailedMetrics) -> ClassChanges:
        """Pairs what both stages were measured by; `before` and `after` are of one split and one task."""
        outputs = {
            tensor: OutputChanges(
                classes=_changed(found.classes, after.states[EVERYTHING][tensor].classes),
                calibration_error=_errors(tensor, before, after),
            )
            for tensor, found in before.states[EVERYTHING].items()
        }
        return cls(first=first, last=last, outputs=outputs)


def mean_error(found: OutputMetrics) -> float | None:
    """Expected calibration error of an output, in points: of its top label, or the mean over its events."""
    errors = [measured.error for measured in found.reliability]
    return sum(errors) / len(errors) if errors else None


def _changed(before: tuple[ClassScores, ...], after: tuple[ClassScores, ...]) -> tuple[ClassChange, ...]:
    changes = (
        ClassChange(name=a.name, support=a.support, before=_figures(a), after=_figures(b))
        for a, b in zip(before, after, strict=True)
    )
    return tuple(sorted(changes, key=lambda change: change.gained))


def _figures(scores: ClassScores) -> ClassFigures:
    return ClassFigures(precision=scores.precision, recall=scores.recall, f1=scores.f1)


def _errors(tensor: str, before: DetailedMetrics, after: DetailedMetrics) -> dict[str, ErrorChange]:
    return {
        state: ErrorChange(before=mean_error(found[tensor]), after=mean_error(after.states[state][tensor]))
        for state, found in before.states.items()
    }
