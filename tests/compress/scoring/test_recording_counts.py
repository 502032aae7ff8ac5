"""Counts by recording: added up in the order of the split, and read back as they were written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from edge.compress.samples import SampleSet
from edge.compress.scoring.evaluation import evaluate, evaluate_by_recording
from edge.compress.scoring.recording_counts import RecordingCounts, samples_digest
from edge.compress.scoring.task import AdditiveMetric, Metric, OutputKind
from edge.runtime.arrays import pack_arrays
from edge.runtime.errors import DataError
from edge.runtime.model_io import EventOutput, GridOutput
from edge.training.metrics import AccuracyMetric, EventF1, GridF1, ScoreMetric


class DigitTask:
    modalities = ("camera",)
    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def loss(self, outputs: object, targets: object) -> torch.Tensor:
        raise AssertionError("nothing is trained here")

    def metric(self) -> Metric:
        return AccuracyMetric()


def samples(recordings: str = "abbacb") -> SampleSet:
    ids = tuple(f"{i}" for i in range(len(recordings)))
    logits = torch.eye(3)[torch.tensor([0, 1, 2, 0, 1, 2])].reshape(6, 3, 1, 1)
    return SampleSet("validation", ids, tuple(recordings), (logits,), (torch.tensor([0, 1, 0, 0, 0, 2]),))


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_every_recording_gets_the_counts_of_its_samples(batch: int) -> None:
    found = evaluate_by_recording(lambda x, _present: [x.flatten(1)], samples(), DigitTask(), batch_size=batch)
    assert found.counts is not None
    # a: samples 0, 3 right; b: 1, 5 right and 2 wrong; c: 4 wrong.
    np.testing.assert_array_equal(found.counts.by_state["all"], [[2, 2], [2, 3], [0, 1]])
    assert found.metrics["all"] == {"score": pytest.approx(100 * 4 / 6), "accuracy": pytest.approx(100 * 4 / 6)}
    assert found.counts.recordings == 3


def test_a_metric_that_does_not_add_up_is_scored_without_counts() -> None:
    class Last:
        value = 0.0

        def update(self, outputs: Sequence[torch.Tensor], targets: object) -> None:
            self.value = float(outputs[0][-1].max())

        def result(self) -> dict[str, float]:
            return {"score": self.value}

    class Task(DigitTask):
        def metric(self) -> Metric:
            return Last()

    found = evaluate_by_recording(lambda x, _present: [x.flatten(1)], samples(), Task())
    assert found.counts is None
    assert found.metrics == evaluate(lambda x, _present: [x.flatten(1)], samples(), Task()) == {"all": {"score": 1.0}}


def test_counts_of_parts_stand_side_by_side_and_give_what_updates_give() -> None:
    grid = GridOutput(tensor="objects", distance_tensor="distance", camera="camera", classes=("car", "truck"))
    events = EventOutput(tensor="events", classes=("siren", "horn", "bell"))
    random = torch.Generator().manual_seed(2)
    outputs = [torch.randn(9, c, *s, generator=random) * 2 for c, s in ((3, (2, 5)), (1, (2, 5)), (3, ()))]
    targets = [
        torch.randint(0, 3, (9, 2, 5), generator=random),
        torch.rand(9, 2, 5, generator=random) * 3,
        torch.randint(0, 2, (9, 3), generator=random).float(),
    ]
    together, apart = ScoreMetric([GridF1(grid), EventF1(events)]), ScoreMetric([GridF1(grid), EventF1(events)])
    assert isinstance(together, AdditiveMetric)
    counts = together.sample_counts(outputs, targets)
    assert counts.shape == (9, 15) and counts.dtype == torch.float64
    apart.update(outputs, targets)
    found = {name: float(value) for name, value in together.points(counts.sum(0)).items()}
    assert found == pytest.approx(apart.result())
    assert 0 < found["detection_f1"] < 100 and 0 < found["event_f1"] < 100
    many = together.points(torch.stack([counts.sum(0), counts[:4].sum(0)]))
    assert many["score"].shape == (2,) and float(many["score"][0]) == pytest.approx(found["score"])


def test_counts_are_read_back_as_they_were() -> None:
    counts = RecordingCounts(
        samples_digest(samples()), {"all": np.arange(6.0).reshape(3, 2), "only_camera": np.ones((3, 2))}
    )
    again = RecordingCounts.from_bytes(counts.to_bytes())
    assert again.samples == counts.samples
    assert again.to_bytes() == counts.to_bytes()
    np.testing.assert_array_equal(again.by_state["all"], counts.by_state["all"])


@pytest.mark.parametrize("content", [b"", b"PK no archive", pack_arrays({"all": np.zeros((2, 2))})])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(DataError):
        RecordingCounts.from_bytes(content)


def test_the_digest_is_of_ids_and_recordings() -> None:
    assert samples_digest(samples()) != samples_digest(samples("abbacc"))
    assert samples_digest(samples()) == samples_digest(samples())
