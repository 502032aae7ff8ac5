"""Precision, recall, F1, confusion and reliability of each class: by hand, and the two ways to count agree."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from torch import Tensor

from edge.compress.samples import SampleSet
from edge.compress.scoring.evaluation import evaluate
from edge.report.class_table import class_tables, reliability_table
from edge.runtime.capabilities import has_module
from edge.runtime.errors import MissingDependencyError
from edge.runtime.model_io import EventOutput, GridOutput, ModelIO, SoftmaxOutput, TensorInput
from edge.training.class_scores import confusion_of, scores_of_answers, scores_of_counts
from edge.training.detailed_metrics import DetailedMetrics, detail_metrics
from edge.training.fusion_task import FusionTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.training.class_scores import ClassScores
    from edge.training.detailed_metrics import OutputMetrics

    Outputs = Sequence[GridOutput | EventOutput | SoftmaxOutput]

GRID = GridOutput(tensor="objects", distance_tensor="distance", camera="camera", classes=("car", "truck"))
EVENTS = EventOutput(tensor="events", classes=("siren", "horn"), threshold=0.6)
DIGIT = SoftmaxOutput(tensor="digit", classes=("0", "1", "2"))

pytestmark = pytest.mark.skipif(not has_module("sklearn"), reason="needs scikit-learn")


def table(name: str) -> TensorInput:
    return TensorInput(tensor=name, stream=name, shape=(1, 1), fields=("x",), mean=(0.0,), std=(1.0,))


def detailed(outputs: Outputs, answers: list[Tensor], targets: list[Tensor]) -> DetailedMetrics:
    """A model that gives these answers while everything is present, and the mean of all when `b` is missing."""
    count = len(answers[0])
    ids = tuple(map(str, range(count)))
    row = torch.arange(count, dtype=torch.float32)[:, None]
    data = SampleSet("test", ids, ids, (row, torch.ones(count, 1)), tuple(targets))
    task = FusionTask(ModelIO(schema=1, inputs=(table("a"), table("b")), outputs=tuple(outputs)))

    def run(*tensors: Tensor) -> list[Tensor]:
        rows, present = tensors[0][:, 0].long(), tensors[-1]
        whole = present[:, 1].bool()
        return [torch.where(whole.reshape(-1, *[1] * (a.dim() - 1)), a[rows], a.mean(0, keepdim=True)) for a in answers]

    found = detail_metrics(run, data, task, batch_size=2)
    scored = evaluate(run, data, task)
    for state in ("all", "only_a"):
        parts = [np.mean([c.f1 for c in found.states[state][o.tensor].classes]) for o in outputs]
        if not isinstance(outputs[0], SoftmaxOutput):
            assert np.mean(parts) == pytest.approx(scored[state]["score"]), "the score is what the classes' F1 come to"
    return found


def rows(scores: Sequence[ClassScores]) -> list[tuple[str, float, float, float, int]]:
    return [(s.name, round(s.precision, 2), round(s.recall, 2), round(s.f1, 2), s.support) for s in scores]


def digits() -> DetailedMetrics:
    # Said 0 0 1 1 2, each with a logit of ln 4 against 0: 4/6 sure.
    said, actual = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 2, 2])
    logits = torch.nn.functional.one_hot(said, 3) * np.log(4.0)
    return detailed([DIGIT], [logits.float()], [actual])


def test_classes_by_hand() -> None:
    found = digits().states["all"]["digit"]
    assert rows(found.classes) == [
        ("0", 50.0, 100.0, 66.67, 1),
        ("1", 50.0, 50.0, 50.0, 2),
        ("2", 100.0, 50.0, 66.67, 2),
    ]
    assert found.confusion is not None
    assert found.confusion.counts == ((1, 0, 0), (1, 1, 0), (0, 1, 1))
    (reliability,) = found.reliability
    assert reliability.of == "top label" and reliability.error == pytest.approx(100 * (4 / 6 - 3 / 5))


def test_states_are_measured_apart() -> None:
    metrics = digits()
    assert list(metrics.states) == ["all", "only_a", "only_b"]
    assert rows(metrics.states["only_a"]["digit"].classes)[2][2] == 0, "the mean of all says 0 or 1, never 2"
    assert DetailedMetrics.model_validate_json(metrics.model_dump_json(by_alias=True)) == metrics


def test_events_by_hand_at_their_threshold() -> None:
    probabilities = torch.tensor([[0.7, 0.1], [0.55, 0.1], [0.9, 0.7], [0.9, 0.1]])
    events = torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0], [1.0, 1.0]])
    found = detailed([EVENTS], [probabilities.logit()], [events]).states["all"]["events"]
    assert rows(found.classes) == [("siren", 66.67, 66.67, 66.67, 3), ("horn", 100.0, 50.0, 66.67, 2)]
    assert found.confusion is None
    assert [r.of for r in found.reliability] == ["siren", "horn"]
    # Bins: 0.7 and 0.55 alone, 0.9 twice with one right.
    assert found.reliability[0].error == pytest.approx(100 * (0.3 + 0.45 + 2 * 0.4) / 4, abs=1e-3)


def test_one_event_alone_is_one_class() -> None:
    bell = EventOutput(tensor="bell", classes=("bell",))
    answers, events = torch.tensor([[2.0], [2.0], [-2.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    found = detailed([bell], [answers], [events]).states["all"]["bell"]
    assert rows(found.classes) == [("bell", 50.0, 100.0, 66.67, 1)]


def test_cells_by_hand_with_their_distance() -> None:
    said = torch.tensor([[[1, 1, 2, 0, 0, 1]]])
    actual = torch.tensor([[[1, 1, 2, 2, 0, 0]]])
    logits = 20.0 * torch.nn.functional.one_hot(said, 3).permute(0, 3, 1, 2).float()
    metres = torch.tensor([[[10.0, 10.0, 20.0, 20.0, 1.0, 1.0]]])
    off = torch.tensor([[[10.0, 14.0, 20.0, 20.0, 1.0, 1.0]]])  # the second car is 40 % off
    found = detailed([GRID], [logits, off.log()[:, None]], [actual, metres]).states["all"]["objects"]
    assert rows(found.classes) == [("car", 33.33, 50.0, 40.0, 2), ("truck", 100.0, 50.0, 66.67, 2)]
    assert found.confusion is not None and found.confusion.labels == ("background", "car", "truck")
    assert found.confusion.counts == ((1, 1, 0), (0, 2, 0), (1, 0, 1))
    (reliability,) = found.reliability
    assert sum(b.count for b in reliability.bins) == 5, "the cell that is background and said to be is left out"
    assert reliability.error == pytest.approx(40, abs=0.01)


def test_a_grid_without_any_object_has_no_reliability() -> None:
    logits = torch.zeros(1, 3, 1, 2)
    logits[:, 0] = 9.0
    targets = [torch.zeros(1, 1, 2).long(), torch.ones(1, 1, 2)]
    found = detailed([GRID], [logits, torch.zeros(1, 1, 1, 2)], targets)
    assert found.states["all"]["objects"].reliability == ()
    assert [s.f1 for s in found.states["all"]["objects"].classes] == [0, 0]
    assert "-" in printed(found)


@settings(deadline=None)  # the first example imports scikit-learn
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_counts_come_to_what_scikit_learn_says(pairs: list[tuple[int, int]]) -> None:
    names = ("a", "b", "c", "d")
    actual, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    right = actual[actual == predicted]
    hits, said, there = (np.bincount(x, minlength=4).tolist() for x in (right, predicted, actual))
    for one, other in zip(
        scores_of_answers(names, actual, predicted), scores_of_counts(names, hits, said, there), strict=True
    ):
        assert other.model_dump() == pytest.approx(one.model_dump())
    confusion = np.array(confusion_of(names, actual, predicted).counts)
    assert confusion.diagonal().tolist() == hits and confusion.sum(1).tolist() == there


def printed(metrics: DetailedMetrics) -> str:
    console = Console(file=StringIO(), width=100)
    for shown in (*class_tables(metrics), reliability_table(metrics)):
        console.print(shown)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_tables_say_it() -> None:
    text = printed(digits())
    assert "'digit' by class, everything present" in text
    order = [line.split()[1] for line in text.splitlines() if line.startswith("│")][:3]
    assert order == ["0", "2", "1"], "the best first"
    assert "Expected calibration error" in text and "6.7" in text and "only_b" in text


def test_of_many_classes_the_best_and_the_worst_are_shown() -> None:
    metrics = digits()
    many = tuple(
        metrics.states["all"]["digit"].classes[0].model_copy(update={"name": f"c{i:02}", "f1": float(i)})
        for i in range(20)
    )
    output: OutputMetrics = metrics.states["all"]["digit"].model_copy(update={"classes": many})
    text = printed(metrics.model_copy(update={"states": {"all": {"digit": output}}}))
    assert "the 4 best and the 4 worst of 20 classes, by F1" in text
    assert [name for name in (f"c{i:02}" for i in range(20)) if name in text] == [
        "c00", "c01", "c02", "c03", "c16", "c17", "c18", "c19",
    ]  # fmt: skip


def test_without_scikit_learn_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.runtime.capabilities.has_module", lambda name: False)
    with pytest.raises(MissingDependencyError, match=r"sklearn.metrics.*edge-fusion\[train\]"):
        scores_of_answers(("a",), np.array([0]), np.array([0]))
