"""Class weights and draws against counts by hand and scikit-learn, and what a weighted loss comes to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edge.compress.scoring.imbalance import BalancingTask
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, GridOutput, ModelIO, SoftmaxOutput
from edge.training.class_balance import output_weights, rarity
from edge.training.fusion_task import FusionTask

GRID = GridOutput(tensor="objects", distance_tensor="distance", camera="camera", classes=("car", "truck"))
EVENTS = EventOutput(tensor="events", classes=("siren", "horn", "bell"))
DIGIT = SoftmaxOutput(tensor="digit", classes=("0", "1", "2"))


def task(*outputs: GridOutput | EventOutput | SoftmaxOutput) -> FusionTask:
    return FusionTask(ModelIO(schema=1, inputs=(), outputs=outputs))


def balanced(output: GridOutput | EventOutput | SoftmaxOutput, classes: Tensor) -> list[float]:
    found = output_weights(output, "balanced", classes)
    assert found is not None and found.dtype == torch.float32
    return found.tolist()


def test_weights_by_hand() -> None:
    # Six samples, three classes, so two each would be even: 2 / 3, 2 / 2, 2 / 1.
    assert balanced(DIGIT, torch.tensor([0, 0, 0, 1, 1, 2])) == pytest.approx([2 / 3, 1, 2])
    # Of four samples the siren is in one, the horn in two.
    events = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]).float()
    assert balanced(EVENTS, events) == pytest.approx([3, 1, 1])
    # Eight cells: five of background, two cars, one truck.
    cells = torch.tensor([[[0, 0], [1, 2]], [[0, 0], [0, 1]]])
    assert balanced(GRID, cells) == pytest.approx([8 / 15, 8 / 6, 8 / 3])


@settings(deadline=None)  # the first example imports scikit-learn
@given(st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_weights_of_classes_are_scikit_learns(classes: list[int]) -> None:
    class_weight = pytest.importorskip("sklearn.utils.class_weight")
    occurring = np.unique(classes)
    expected = class_weight.compute_class_weight("balanced", classes=occurring, y=np.array(classes))
    found = torch.tensor(balanced(DIGIT, torch.tensor(classes)))
    assert found[torch.from_numpy(occurring)].tolist() == pytest.approx(expected.tolist())
    assert float(found[torch.tensor(classes)].mean()) == pytest.approx(1), "the loss keeps its size"


def test_classes_that_never_occur_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert balanced(DIGIT, torch.tensor([0, 0, 1])) == pytest.approx([0.75, 1.5, 1])
    assert "'digit': the training split has no sample of ['2']" in caplog.text
    assert balanced(EVENTS, torch.tensor([[1.0, 0, 0], [1.0, 1, 0]])) == [1, 1, 1], "always there is no rarity either"


def test_a_weighted_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0]])
    classes = torch.tensor([0, 0, 2])
    losses = [math.log(math.e + 2) - 1, math.log(math.e**2 + 2), math.log(math.e**3 + 2) - 3]
    weighted = task(DIGIT).weighing((0.5, 9.0, 4.0), [classes])
    expected = (0.5 * losses[0] + 0.5 * losses[1] + 4 * losses[2]) / 3
    assert float(weighted.loss([logits], [classes])) == pytest.approx(expected)
    shares = [float(weighted.loss([logits[rows]], [classes[rows]])) for rows in (slice(0, 1), slice(1, 3))]
    assert (shares[0] + 2 * shares[1]) / 3 == pytest.approx(expected), "a mean over samples, whoever has which"


def test_occurrences_of_an_event_weigh_and_absences_do_not() -> None:
    logits, events = torch.zeros(2, 3), torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    weighted = task(EVENTS).weighing({"events": (5.0, 7.0, 9.0)}, [events])
    assert float(weighted.loss([logits], [events])) == pytest.approx((5 + 5) * math.log(2) / 6)


def test_cells_of_a_grid_weigh_by_class() -> None:
    logits, distances = torch.zeros(1, 3, 1, 4), torch.zeros(1, 1, 1, 4)
    targets = [torch.tensor([[[0, 0, 0, 2]]]), torch.ones(1, 1, 4)]
    plain, weighted = task(GRID, EVENTS), task(GRID).weighing((1.0, 1.0, 6.0), targets)
    assert float(weighted.loss([logits, distances], targets)) == pytest.approx((3 + 6) / 4 * math.log(3))
    both = [*targets, torch.zeros(1, 3)]
    by_name = plain.weighing({"objects": "balanced"}, both)
    outputs = [logits, distances, torch.zeros(1, 3)]
    assert float(by_name.loss(outputs, both)) == pytest.approx(math.log(3) + math.log(2)), "events are left as they are"


def test_none_is_the_loss_as_it_is() -> None:
    logits, classes = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 2])
    plain = task(DIGIT)
    assert torch.equal(plain.weighing("none", [classes]).loss([logits], [classes]), plain.loss([logits], [classes]))
    assert isinstance(plain, BalancingTask)


def test_a_sample_is_as_likely_as_its_rarest_class_is_rare() -> None:
    assert rarity(DIGIT, torch.tensor([0, 0, 1])).tolist() == [0.5, 0.5, 1]
    events = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]]).float()
    assert rarity(EVENTS, events).tolist() == [1, 0.5, 0.5, 0.5]
    cells = torch.tensor([[[0, 1]], [[1, 2]], [[0, 0]], [[0, 1]]])
    assert rarity(GRID, cells).tolist() == pytest.approx([1 / 3, 1, 1, 1 / 3])
    both = task(GRID, EVENTS).draw_weights([cells, cells.float(), events])
    assert both.tolist() == pytest.approx([1, 1, 1, 0.5])


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ((1.0, 2.0), r"one list and there are 2 outputs; give each its own, by name: \['objects', 'events'\]"),
        ({"event": "balanced"}, r"names \['event'\], which are no outputs; choose from \['objects', 'events'\]"),
        ({"events": (1.0, 2.0)}, "class_weights of 'events' has 2 numbers for 3 classes"),
        ({"objects": (1.0, 2.0)}, "has 2 numbers for 3 classes; give one for each.*begin with the background"),
    ],
)
def test_weights_that_fit_no_output_are_refused(weights: object, said: str) -> None:
    targets = [torch.zeros(2, 1, 2).long(), torch.zeros(2, 1, 2), torch.zeros(2, 3)]
    with pytest.raises(ConfigError, match=said):
        task(GRID, EVENTS).weighing(weights, targets)  # type: ignore[arg-type]
