"""The ring of roads, and the stages, latencies, ages and spans that are made of it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.fusion import Inference, StageTimes
from edge.runtime.result import Decoded
from edge.runtime.sample import PointCloud, Sample
from edge.runtime.synchronize.synced import SyncedSet
from edge.runtime.trace.road_recorder import ABSENT, FIELDS, RoadRecorder
from edge.runtime.trace.spans import (
    ages_ns,
    latencies_ns,
    road_spans,
    select_roads,
    stage_durations_ns,
    take_durations_ns,
)

MS = 1_000_000
CLOUD = PointCloud(np.zeros((1, 4), np.float32))
STREAMS = ("camera", "lidar")
TIMES = StageTimes(1 * MS, 5 * MS, 2 * MS)


def inference(
    stamp_ms: int,
    times: StageTimes | None = TIMES,
    used: tuple[str, ...] = STREAMS,
    held: tuple[str, ...] = (),
    predicted: bool = False,
) -> Inference:
    """A sweep 30 ms after its stamp, a frame 10 ms earlier, matched 4 ms after the sweep."""
    stamps = {"lidar": stamp_ms * MS, "camera": (stamp_ms - 10) * MS}
    samples = {name: Sample(name, at, at + 30 * MS, 0, CLOUD) for name, at in stamps.items()}
    synced = SyncedSet(0, stamp_ms * MS, samples, stamps, held, {}, (stamp_ms + 34) * MS, 10.0, predicted)
    return Inference(synced, "all" if times else "blind", used if times else (), Decoded(), "", times)


def recorded(*inferences: Inference, capacity: int = 64) -> RoadRecorder:
    recorder = RoadRecorder(STREAMS, capacity)
    for number, one in enumerate(inferences):
        emitted_ns = one.synced.emitted_ns
        recorder.add(number, one, emitted_ns + 3 * MS, emitted_ns + 12 * MS)
    return recorder


def test_stages_and_deskewing_add_up_to_the_latency() -> None:
    roads = recorded(inference(100), inference(200)).roads()
    stages = {name: taken.tolist() for name, taken in stage_durations_ns(roads, "lidar").items()}
    assert stages == {
        "arrival": [30 * MS] * 2,
        "sync_wait": [4 * MS] * 2,
        "queue": [3 * MS] * 2,
        "preprocess": [1 * MS] * 2,
        "engine": [5 * MS] * 2,
        "decode": [2 * MS] * 2,
    }
    deskew_ns = 1 * MS  # taken 3 ms after matching, ready after 12 ms, of which the model's stages are 8 ms
    assert latencies_ns(roads).tolist() == [(4 + 3 + 1 + 5 + 2) * MS + deskew_ns] * 2


def test_what_the_engine_tells_of_transfers_is_a_stage_and_nothing_is_made_up_elsewhere() -> None:
    roads = recorded(inference(100, TIMES._replace(transfer_ns=MS)), inference(200)).roads()
    assert stage_durations_ns(roads, "lidar")["transfer"].tolist() == [MS]
    spans = [span for span in road_spans(roads) if span.stage == "transfer"]
    assert [(span.number, span.duration_ns) for span in spans] == [(0, MS)]


def test_a_blind_result_has_no_latency_and_no_stages_of_the_model() -> None:
    roads = recorded(inference(100, None)).roads()
    assert len(latencies_ns(roads)) == 0
    assert stage_durations_ns(roads, "lidar").keys() == {"sync_wait", "queue"}
    assert ages_ns(roads) == {}


def test_a_predicted_tick_waited_for_no_sample() -> None:
    roads = recorded(inference(100, predicted=True)).roads()
    assert "sync_wait" not in stage_durations_ns(roads, "lidar") and len(latencies_ns(roads)) == 0


def test_a_held_sample_is_of_an_age_and_of_no_arrival() -> None:
    roads = recorded(inference(100, held=("camera",))).roads()
    assert {span.track for span in road_spans(roads) if span.stage == "arrival"} == {"lidar"}
    ages = {name: found.tolist() for name, found in ages_ns(roads).items()}
    # Ready 46 ms after the sweep's stamp.
    assert ages == {"lidar": [46 * MS], "camera": [56 * MS], "result": [56 * MS]}


def test_a_stamp_ahead_of_its_arrival_is_no_duration() -> None:
    one = inference(100)
    ahead = replace(one.synced, stamps_ns={"lidar": 140 * MS, "camera": 90 * MS})
    roads = recorded(replace(one, synced=ahead)).roads()
    assert "arrival" not in stage_durations_ns(roads, "lidar")
    assert [span.track for span in road_spans(roads) if span.stage == "arrival"] == ["camera"]


def test_an_anchor_that_the_model_does_not_read_has_no_arrival() -> None:
    assert "arrival" not in stage_durations_ns(recorded(inference(100)).roads(), "radar")


def test_spans_of_the_model_follow_each_other_and_end_with_the_result() -> None:
    roads = recorded(inference(100)).roads()
    spans = [span for span in road_spans(roads) if span.track == "inference"]
    assert [span.stage for span in spans] == ["preprocess", "engine", "decode"]
    ends = [span.start_ns + span.duration_ns for span in spans]
    assert ends[:-1] == [span.start_ns for span in spans[1:]] and ends[-1] == roads.fields["ready"][0]


def test_taking_is_timed_only_where_a_set_had_waited() -> None:
    recorder = RoadRecorder(STREAMS)
    first, waiting, later = inference(100), inference(105), inference(300)
    recorder.add(0, first, 135 * MS, 150 * MS)
    recorder.add(1, waiting, 152 * MS, 160 * MS)  # matched at 139 ms, while the model ran
    recorder.add(2, later, 335 * MS, 340 * MS)
    assert take_durations_ns(recorder.roads()).tolist() == [2 * MS]


@given(count=st.integers(0, 40), capacity=st.integers(1, 12))
def test_the_ring_keeps_the_last_in_their_order_and_counts_the_lost(count: int, capacity: int) -> None:
    roads = recorded(*(inference(100 * k) for k in range(count)), capacity=capacity).roads()
    kept = min(count, capacity)
    assert roads.fields["number"].tolist() == list(range(count - kept, count))
    assert roads.lost == count - kept
    assert roads.fields.keys() == set(FIELDS) and roads.stamps.shape == (kept, 2)


def test_selecting_keeps_rows_whole() -> None:
    roads = recorded(inference(100), inference(200, None), inference(300)).roads()
    chosen = select_roads(roads, roads.fields["engine"] != ABSENT)
    assert chosen.fields["number"].tolist() == [0, 2]
    assert chosen.stamps[:, 1].tolist() == [100 * MS, 300 * MS]


def test_memory_does_not_grow_with_the_run() -> None:
    recorder, one = RoadRecorder(STREAMS, 128), inference(100)
    tracemalloc.start()
    try:
        for number in range(500):
            recorder.add(number, one, 0, 0)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(500, 5_000):
            recorder.add(number, one, 0, 0)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_048


@pytest.mark.parametrize("capacity", [0, -3])
def test_a_ring_holds_one_result_at_least(capacity: int) -> None:
    assert len(recorded(inference(1), inference(2), capacity=capacity).roads().fields["number"]) == 1
