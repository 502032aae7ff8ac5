"""What a search may look at, and that the gate judges by what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge.compress.gates.config import GateConfig
from edge.compress.samples import SampleSet
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.compress.sensitivity.planning_split import planning_samples
from edge.compress.stages.judging import judged_stage
from edge.compress.stages.measure import MeasuredStage
from edge.compress.stages.record import StageRecord
from edge.compress.stages.stage import Artifact, CompressionContext
from edge.compress.stages.unseen_recordings import unseen_by_search
from edge.runtime.errors import DataError
from edge.training.metrics import AccuracyMetric
from tests.compress.sensitivity.conftest import Accuracy, Digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.sensitivity.config import JudgedOn


class Counted(Digits):
    """The same task with a metric whose counts add up."""

    def metric(self) -> AccuracyMetric:  # type: ignore[override]
        return AccuracyMetric()


def split(recordings: Sequence[str]) -> SampleSet:
    ids = tuple(f"v{i}" for i in range(len(recordings)))
    images, classes = torch.arange(len(ids)).reshape(-1, 1, 1, 1).float(), torch.zeros(len(ids), dtype=torch.long)
    return SampleSet("validation", ids, tuple(recordings), (images,), (classes,))


def stage(right: Sequence[int], judged_on: JudgedOn | None) -> MeasuredStage:
    """A stage that got so many of each recording's two samples right."""
    hits = np.array(right, np.float64)
    counts = RecordingCounts("00" * 32, {"all": np.stack([hits, np.full_like(hits, 2)], 1)})
    score = {"all": {"score": 100 * hits.sum() / (2 * len(hits))}}
    judged = {"judged_on": judged_on, "recordings": len(hits) // 2, "samples": 2 * (len(hits) // 2)}
    notes = {} if judged_on is None else {"precision_plan": {"judged": judged}}
    record = StageRecord(
        name="quantize", config={}, params=1, macs=1, bytes=9, seconds=0, metrics=score, gate_metrics=score, notes=notes
    )
    return MeasuredStage(Artifact("quantize", nn.Identity()), {"fp32": b"x"}, record, None, counts, counts)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=60).filter(lambda r: len(set(r)) > 1))
def test_half_is_half_of_the_recordings_with_all_of_their_samples(drawn: list[int]) -> None:
    whole = split([f"r{i}" for i in drawn])
    seen, noted = planning_samples(whole, "half")
    recordings = set(seen.recordings)
    assert len(recordings) == noted.recordings == len(set(whole.recordings)) // 2
    assert seen.ids == tuple(i for i, r in zip(whole.ids, whole.recordings, strict=True) if r in recordings)
    assert noted.samples == len(seen) == len(seen.inputs[0])
    assert planning_samples(whole, "half")[0].ids == seen.ids


def test_the_whole_split_is_seen_where_that_is_asked() -> None:
    seen, noted = planning_samples(split(["a", "b", "a"]), "validation")
    assert (len(seen), noted.recordings, noted.samples) == (3, 2, 3)


def test_one_recording_cannot_be_halved() -> None:
    with pytest.raises(DataError, match=r"one recording, 'a'.*judged_on: validation"):
        planning_samples(split(["a", "a"]), "half")


def test_a_gate_judges_by_the_recordings_that_the_search_did_not_see() -> None:
    """The plan is right wherever the search looked and wrong elsewhere: half is lost by all, everything by the rest."""
    names = [f"r{i}" for i in range(12)]
    searched = set(planning_samples(split(names), "half")[0].recordings)
    before = stage([2] * 12, None)
    right = [2 if name in searched else 0 for name in names]
    context = CompressionContext(Counted(), split(names), nn.Identity(), nn.Identity)
    limit = GateConfig(max_loss=60, max_loss_any=60)
    unseen = judged_stage(before, stage(right, "half"), limit, context).record.gate
    whole = judged_stage(before, stage(right, "validation"), limit, context).record.gate
    assert unseen is not None and whole is not None
    assert (unseen.losses[0].lost, unseen.recordings, unseen.verdict) == (100.0, 6, "refused")
    assert (whole.losses[0].lost, whole.recordings) == (50.0, 12)
    assert whole.verdict != "refused"


def test_what_no_search_made_is_judged_by_the_whole_split() -> None:
    before, after = stage([2] * 4, None), stage([1] * 4, None)
    assert unseen_by_search(before, after, Counted()) is None


def test_a_metric_that_does_not_add_up_is_judged_by_all_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(Digits().metric(), Accuracy)
    before, after = stage([2] * 4, None), stage([1] * 4, "half")
    assert unseen_by_search(before, after, Digits()) is None
    assert unseen_by_search(before, replace(after, validation_counts=None), Counted()) is None
    assert caplog.text.count("also judges by samples that its plan was searched by") == 2
