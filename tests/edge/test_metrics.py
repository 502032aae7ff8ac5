"""Metrics on cases small enough to count by hand, and the task that chooses among them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, GridOutput, ModelIO, RawOutput, SoftmaxOutput
from edge.training.fusion_task import FusionTask
from edge.training.metrics import AccuracyMetric, EventF1, GridF1, ScoreMetric, macro_f1

GRID = GridOutput(tensor="objects", distance_tensor="distance", camera="camera", classes=("car", "truck"))
EVENTS = EventOutput(tensor="events", classes=("siren", "horn"))
DIGIT = SoftmaxOutput(tensor="digit", classes=("0", "1", "2"))


def cells(predicted: list[int], metres: list[float], certainty: float = 0.9) -> list[torch.Tensor]:
    """Logits and ln-distances of a grid of one row whose best class has probability `certainty`."""
    probabilities = torch.full((1, 3, 1, len(predicted)), (1 - certainty) / 2)
    for i, which in enumerate(predicted):
        probabilities[0, which, 0, i] = certainty
    return [probabilities.log(), torch.tensor(metres).log().reshape(1, 1, 1, -1)]


def truth(classes: list[int], metres: Sequence[float]) -> list[torch.Tensor]:
    return [torch.tensor(classes).reshape(1, 1, -1), torch.tensor(metres).reshape(1, 1, -1)]


def grid_f1(outputs: list[torch.Tensor], targets: list[torch.Tensor]) -> float:
    metric = GridF1(GRID)
    metric.update(outputs, targets)
    return metric.result()


def test_a_perfect_grid_scores_100() -> None:
    assert grid_f1(cells([0, 1, 2], [9, 10, 20]), truth([0, 1, 2], [0, 10, 20])) == pytest.approx(100)


def test_macro_f1_by_hand() -> None:
    # Cars: 1 hit, 1 missed, 1 false -> F1 = 2 / 4. Trucks: 1 hit, 1 false -> F1 = 2 / 3.
    outputs = cells([1, 0, 1, 2, 2], [10, 10, 10, 20, 20])
    targets = truth([1, 1, 0, 2, 0], [10, 10, 0, 20, 0])
    assert grid_f1(outputs, targets) == pytest.approx(100 * (0.5 + 2 / 3) / 2)


@pytest.mark.parametrize(("metres", "points"), [(21.9, 100), (22.1, 0), (18.1, 100), (17.9, 0)])
def test_an_object_more_than_a_tenth_off_is_no_hit(metres: float, points: float) -> None:
    assert grid_f1(cells([1], [metres]), truth([1], [20])) == pytest.approx(points)


def test_a_class_that_is_confused_counts_against_both() -> None:
    assert grid_f1(cells([1, 2], [10, 10]), truth([2, 1], [10, 10])) == 0


def test_cells_below_the_decoders_threshold_are_not_predicted() -> None:
    assert grid_f1(cells([1], [10], certainty=0.51), truth([1], [10])) == pytest.approx(100)
    assert grid_f1(cells([1], [10], certainty=0.49), truth([1], [10])) == 0


def test_background_does_not_dilute_lost_objects() -> None:
    few = grid_f1(cells([0, 0], [1, 1]), truth([0, 1], [0, 10]))
    many = grid_f1(cells([0] * 100, [1] * 100), truth([0] * 99 + [1], [0] * 99 + [10]))
    assert few == many == 0


def test_counts_add_up_over_batches() -> None:
    metric, pairs = GridF1(GRID), [([1, 0], [1, 1]), ([2, 1], [2, 0])]
    for predicted, actual in pairs:
        metric.update(cells(predicted, [10, 10]), truth(actual, [10, 10]))
    together = grid_f1(cells([1, 0, 2, 1], [10] * 4), truth([1, 1, 2, 0], [10] * 4))
    assert metric.result() == pytest.approx(together)


def test_classes_that_never_occur_are_left_out_and_nothing_at_all_is_zero() -> None:
    assert macro_f1(torch.tensor([2.0, 0]), torch.tensor([2.0, 0]), torch.tensor([2.0, 0])) == 100
    assert macro_f1(torch.zeros(2), torch.zeros(2), torch.zeros(2)) == 0


def test_events_by_hand() -> None:
    # Sirens: 1 hit, 1 false -> 2 / 3. Horns: 1 missed -> 0.
    metric = EventF1(EVENTS)
    metric.update([torch.tensor([[2.0, -2], [2, -2]])], [torch.tensor([[1.0, 1], [0, 0]])])
    assert metric.result() == pytest.approx(100 * (2 / 3 + 0) / 2)


def test_the_event_threshold_is_the_decoders() -> None:
    metric = EventF1(EVENTS.model_copy(update={"threshold": 0.8}))
    logit = math.log(0.79 / 0.21)
    metric.update([torch.tensor([[logit, 9.0]])], [torch.tensor([[1.0, 1.0]])])
    assert metric.result() == pytest.approx(50)


def test_the_score_is_the_mean_of_parts_that_each_got_their_own_tensors() -> None:
    metric = ScoreMetric([GridF1(GRID), EventF1(EVENTS)])
    metric.update([*cells([1], [10]), torch.tensor([[5.0, -5]])], [*truth([1], [10]), torch.tensor([[0.0, 1.0]])])
    assert metric.result() == pytest.approx({"score": 50, "detection_f1": 100, "event_f1": 0})


def test_accuracy_over_batches_of_differing_size() -> None:
    metric = AccuracyMetric()
    metric.update([torch.eye(3)], [torch.tensor([0, 1, 0])])
    metric.update([torch.eye(3)[:1]], [torch.tensor([0])])
    assert metric.result() == {"score": 75, "accuracy": 75}


def model_io(*outputs: object) -> ModelIO:
    return ModelIO.model_validate(
        {"schema": 1, "inputs": [{"feature": "present", "streams": ["camera"]}], "outputs": outputs}
    )


def test_a_task_hands_each_output_its_own_loss_and_metric() -> None:
    task = FusionTask(model_io(GRID, EVENTS))
    assert task.output_kinds == ("categorical", "regression", "multilabel")
    outputs = [*cells([1], [10], certainty=0.999999), torch.tensor([[30.0, -30.0]])]
    targets = [*truth([1], [10]), torch.tensor([[1.0, 0.0]])]
    assert float(task.loss(outputs, targets)) == pytest.approx(0, abs=1e-3)
    wrong_event = [*outputs[:2], -outputs[2]]
    assert float(task.loss(wrong_event, targets)) == pytest.approx(30, rel=1e-3)
    metric = task.metric()
    metric.update(wrong_event, targets)
    assert metric.result()["score"] == pytest.approx(50)


def test_a_class_is_scored_by_accuracy() -> None:
    task = FusionTask(model_io(DIGIT))
    metric = task.metric()
    metric.update([torch.eye(3)], [torch.tensor([0, 1, 0])])
    assert metric.result()["score"] == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize("outputs", [(RawOutput(tensor="raw"),), (EVENTS, DIGIT)])
def test_outputs_without_a_loss_or_a_common_score_are_refused(outputs: tuple[object, ...]) -> None:
    with pytest.raises(ConfigError, match="outputs decoded as"):
        FusionTask(model_io(*outputs))
