"""What output tensors say, against the metrics that training and gates use."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.explain.output_readings import ACTUAL, HIT, SAID, OutputReader
from edge.explain.prior import prior_outputs
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO
from edge.training.fusion_task import FusionTask
from edge.training.metrics import macro_f1
from edge.training.reliability import BINS, measure_reliability


def drawn_answers(small_io: ModelIO) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    random = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 3, (5, 8, 26), generator=random)
    distance = 5 + 40 * torch.rand(5, 8, 26, generator=random)
    events = (torch.rand(5, 2, generator=random) > 0.5).float()
    logits = 3 * torch.randn(5, 3, 8, 26, generator=random)
    far = (distance * (1 + 0.1 * torch.randn(5, 8, 26, generator=random))).clamp(min=1).log()[:, None]
    return (logits, far, 2 * torch.randn(5, 2, generator=random)), (classes, distance, events)


def test_counts_of_classes_make_the_metric_of_training(small_io: ModelIO) -> None:
    outputs, targets = drawn_answers(small_io)
    reader = OutputReader(small_io)
    found = reader.read(outputs, targets)
    metric = FusionTask(small_io).metric()
    metric.update(outputs, targets)
    wanted = metric.result()
    counts = found.classes.sum(0)
    for name, columns in (("detection_f1", slice(0, 2)), ("event_f1", slice(2, 4))):
        part = counts[columns]
        points = macro_f1(part[:, HIT], part[:, SAID], part[:, ACTUAL])
        assert float(points) == pytest.approx(wanted[name], abs=1e-9)
    assert reader.class_names == ("objects: car", "objects: pedestrian", "events: siren", "events: horn")
    assert reader.chances(outputs).tolist() == [208, 208, 1, 1]


def test_probabilities_and_errors_stay_within_bounds_and_a_perfect_answer_has_none(small_io: ModelIO) -> None:
    outputs, targets = drawn_answers(small_io)
    found = OutputReader(small_io).read(outputs, targets)
    assert bool(((found.truth > 0) & (found.truth < 1) & (found.error > 0) & (found.error < 1)).all())
    perfect = (
        30 * torch.nn.functional.one_hot(targets[0], 3).permute(0, 3, 1, 2).float(),
        targets[1].log()[:, None],
        30 * (2 * targets[2] - 1),
    )
    right = OutputReader(small_io).read(perfect, targets)
    assert float(right.error.max()) == 0 and float(right.truth.min()) > 0.999


def test_an_empty_scene_without_an_answer_is_no_error(small_io: ModelIO) -> None:
    nothing = (torch.zeros(1, 8, 26, dtype=torch.long), torch.zeros(1, 8, 26), torch.zeros(1, 2))
    silent = torch.zeros(1, 3, 8, 26)
    silent[:, 0] = 9
    found = OutputReader(small_io).read((silent, torch.zeros(1, 1, 8, 26), torch.full((1, 2), -9.0)), nothing)
    assert float(found.error[0]) == 0.0 and float(found.truth[0]) > 0.99


def test_reliability_counts_decisions_by_confidence() -> None:
    model_io = ModelIO.model_validate(
        {
            "schema": 1,
            "inputs": [{"feature": "image", "tensor": "x", "stream": "x", "shape": [1, 1, 2, 2]}],
            "outputs": [{"decoder": "softmax", "tensor": "y", "classes": ["a", "b"]}],
        }
    )
    logits = torch.tensor([[0.0, 3.0], [0.0, 3.0], [0.1, 0.0]])
    targets = torch.tensor([1, 0, 0])
    sums = OutputReader(model_io).read((logits,), (targets,)).reliability.sum(0).reshape(BINS, 3)
    sure, unsure = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-0.1))
    np.testing.assert_allclose(sums[14], [2, 2 * sure, 1], rtol=1e-6)
    np.testing.assert_allclose(sums[7], [1, unsure, 1], rtol=1e-6)
    assert float(sums.sum()) == pytest.approx(2 + 2 * sure + 1 + 1 + unsure + 1)
    of_training = measure_reliability("top label", np.array([sure, sure, unsure]), np.array([True, False, True]))
    decisions, confidence, right = sums.unbind(1)
    assert float((confidence - right).abs().sum() / decisions.sum()) == pytest.approx(of_training.error / 100)


def test_the_prior_of_a_grid_and_of_events_has_their_frequencies(small_io: ModelIO) -> None:
    _, targets = drawn_answers(small_io)
    logits, _, events = prior_outputs(small_io, targets)
    assert logits.shape == (1, 3, 8, 26) and events.shape == (1, 2)
    cars = float((targets[0] == 1).double().mean())
    assert float(logits.softmax(1)[0, 1, 0, 0]) == pytest.approx(cars, abs=1e-6)
    np.testing.assert_allclose(events.sigmoid()[0], targets[2].mean(0), atol=1e-6)


def test_an_output_without_classes_is_refused() -> None:
    raw = ModelIO.model_validate(
        {
            "schema": 1,
            "inputs": [{"feature": "image", "tensor": "x", "stream": "x", "shape": [1, 1, 2, 2]}],
            "outputs": [{"decoder": "raw", "tensor": "numbers"}],
        }
    )
    with pytest.raises(ConfigError, match=r"\['numbers'\] are no decisions"):
        OutputReader(raw)
