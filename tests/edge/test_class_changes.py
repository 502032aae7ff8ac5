"""Each class before and after compression: paired, the one that lost most first, and shown on the page."""

from __future__ import annotations

import re

import pytest

from edge.report import Report, ReportFigures
from edge.report.class_changes import ClassChanges, ErrorChange
from edge.report.page import render_page
from edge.runtime.environment import describe_host
from edge.training.class_scores import ClassScores
from edge.training.detailed_metrics import DetailedMetrics, OutputMetrics
from edge.training.reliability import Reliability
from tests.edge.detailed_stages import made
from tests.edge.html_page import Page


def scores(name: str, f1: float) -> ClassScores:
    return ClassScores(name=name, precision=f1 + 1, recall=f1 - 1, f1=f1, support=1200)


def metrics(errors: tuple[float, ...], **f1: float) -> DetailedMetrics:
    """Of one output in two states; absent things are judged in `only_a` alone where there are no errors."""
    reliability = tuple(Reliability(of=str(i), error=error, bins=()) for i, error in enumerate(errors))
    classes = tuple(scores(name, value) for name, value in f1.items())
    found = OutputMetrics(classes=classes, confusion=None, reliability=reliability)
    unjudged = found.model_copy(update={"reliability": ()})
    return DetailedMetrics(schema=1, split="test", samples=9, states={"all": {"x": found}, "only_a": {"x": unjudged}})


@pytest.fixture
def changes() -> ClassChanges:
    before = metrics((1.0, 3.0), car=80.0, truck=70.0, tram=60.0)
    return ClassChanges.between("teacher", "quantize", before, metrics((6.0,), car=78.0, truck=70.0, tram=65.5))


def test_the_class_that_lost_most_is_first(changes: ClassChanges) -> None:
    found = changes.outputs["x"].classes
    assert [(c.name, c.gained, c.support) for c in found] == [
        ("car", -2, 1200),
        ("truck", 0, 1200),
        ("tram", 5.5, 1200),
    ]
    assert (found[0].before.precision, found[0].after.recall) == (81, 77)


def test_errors_are_means_over_events_and_none_where_nothing_was_judged(changes: ClassChanges) -> None:
    errors = changes.outputs["x"].calibration_error
    assert errors == {"all": ErrorChange(before=2, after=6), "only_a": ErrorChange(before=None, after=None)}


def test_stages_of_other_classes_are_no_pair() -> None:
    with pytest.raises(ValueError, match="zip"):
        ClassChanges.between("a", "b", metrics((), car=1.0), metrics((), car=1.0, tram=2.0))


def page_of(changes: ClassChanges | None) -> str:
    stages = (made("distill", {}), made("quantize", {}))
    report = Report(title="Classes", stages=stages, classes=changes, environment=describe_host())
    assert Report.model_validate(report.to_json()) == report
    return re.sub(r"\s+", " ", Page(render_page(report, ReportFigures())).text)


def test_the_page_shows_both_and_hides_the_many(changes: ClassChanges) -> None:
    text = page_of(changes)
    assert "Class by class quantize on the test split" in text
    assert "car 1,200 79.0 \N{MINUS SIGN}2.0 77.0 \N{MINUS SIGN}2.0 78.0 \N{MINUS SIGN}2.0" in text
    assert "all 6.0 2.0" in text and "More classes" not in text
    assert "Class by class" not in page_of(None)
    many = {f"c{i}": float(i) for i in range(15)}
    assert "More classes: 3" in page_of(ClassChanges.between("a", "b", metrics((), **many), metrics((), **many)))
