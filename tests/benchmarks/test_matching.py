"""The figures that all synchronizers are judged by, on sets made by hand."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MS = 1_000_000
PERIOD_NS = 100 * MS


@pytest.fixture(scope="module")
def matching() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("matching")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def streams(matching: Any) -> Any:
    return importlib.import_module("streams")


def recording(streams: Any, arrivals_ms: list[int], true_ms: list[int], kind: str = "none") -> Any:
    arrivals, true = np.array(arrivals_ms, np.int64) * MS, np.array(true_ms, np.int64) * MS
    nothing = np.zeros(len(arrivals), np.int64)
    messages = streams.Messages(nothing, true, arrivals, nothing)
    return streams.Recording(messages, true, streams.Fault(kind))


def sets(matching: Any, emitted_ms: list[int], members: list[list[int]], **flags: list[bool]) -> Any:
    emitted = np.array(emitted_ms, np.int64) * MS
    plain = {"complete": [True] * len(emitted), "predicted": [False] * len(emitted)}
    whole = {name: np.array(values, np.bool_) for name, values in {**plain, **flags}.items()}
    return matching.Sets(emitted, np.array(members, np.int64).reshape(len(emitted), -1), **whole)


def test_wait_counts_from_the_arrival_of_the_last_member(matching: Any) -> None:
    arrivals = np.array([10, 25, 40], np.int64) * MS
    found = sets(matching, [30, 41], [[0, 1], [matching.MISSING, 2]])
    np.testing.assert_allclose(matching.waits_ms(found, arrivals), [5.0, 1.0])


def test_sets_of_nothing_and_predicted_ones_have_no_wait(matching: Any) -> None:
    arrivals = np.array([10, 25], np.int64) * MS
    found = sets(matching, [30, 40], [[matching.MISSING] * 2, [0, 1]], predicted=[False, True])
    assert len(matching.waits_ms(found, arrivals)) == 0


def test_spread_lies_between_the_oldest_and_the_newest(matching: Any) -> None:
    true = np.array([100, 107, 93], np.int64) * MS
    np.testing.assert_allclose(matching.spreads_ms(np.array([[0, 1, 2], [0, 0, 1]]), true), [14.0, 7.0])


@pytest.mark.parametrize(("emitted_ms", "longest"), [([100, 200, 650, 900], 450.0), ([300], 700.0), ([], 1000.0)])
def test_silence_includes_both_ends(matching: Any, emitted_ms: list[int], longest: float) -> None:
    assert matching.silence_ms(np.array(emitted_ms, np.int64) * MS, 0, 1000 * MS) == longest


@pytest.mark.parametrize(
    ("emitted_ms", "back"),
    [
        (list(range(0, 2001, 100)), 0.0),
        ([*range(0, 1001, 100), *range(1400, 2001, 100)], 400.0),
        ([*range(0, 1001, 100), *range(1200, 1500, 100), *range(1700, 2001, 100)], 700.0),
        (list(range(0, 1001, 100)), None),
    ],
)
def test_back_is_the_end_of_the_last_hole_after_a_step(
    matching: Any, streams: Any, emitted_ms: list[int], back: float | None
) -> None:
    stepped = recording(streams, [0, 2000], [0, 2000], "step")
    found = sets(matching, emitted_ms, [[0]] * len(emitted_ms))
    assert matching.back_ms(found, stepped, PERIOD_NS) == back


def test_a_hole_that_was_usual_before_is_not_due_to_the_step(matching: Any, streams: Any) -> None:
    stepped = recording(streams, [0, 8000], [0, 8000], "step")
    after = [*range(4100, 6001, 100), *range(6200, 8001, 100)]
    usual, unusual = [*range(0, 2001, 100), *range(2200, 4001, 100)], list(range(0, 4001, 100))
    for before, back in ((usual, 0.0), (unusual, 2200.0)):
        found = sets(matching, before + after, [[0]] * len(before + after))
        assert matching.back_ms(found, stepped, PERIOD_NS) == back


def test_an_incomplete_set_is_a_hole(matching: Any, streams: Any) -> None:
    stepped = recording(streams, [0, 2000], [0, 2000], "step")
    emitted = list(range(0, 2001, 100))
    found = sets(matching, emitted, [[0]] * len(emitted), complete=[ms != 1100 for ms in emitted])
    assert matching.back_ms(found, stepped, PERIOD_NS) == 200.0


def test_a_peers_set_is_emitted_when_its_trigger_arrives(matching: Any, streams: Any) -> None:
    given = recording(streams, [5, 8, 30], [0, 1, 2])
    found = matching.Sets.of_peer(np.array([[2, 0, 1]], np.int64), given)
    assert found.emitted_ns.tolist() == [30 * MS] and found.members.tolist() == [[0, 1]]
    assert found.complete.all() and not found.predicted.any()


def test_judging_counts_only_what_comes_after_the_warm_up(matching: Any, streams: Any) -> None:
    arrivals = [0, 100, 2000, 2004, 4000]
    found = sets(matching, [110, 2010, 3000], [[0, 1], [2, 3], [2, 4]], complete=[False, True, False])
    quality = matching.judge(found, recording(streams, arrivals, arrivals), PERIOD_NS)
    assert quality.complete == 50.0 and quality.sets_per_s == 0.75 and quality.complete_per_s == 0.25
    assert quality.spread_mean == 4.0 and quality.silence == 1900.0 and quality.back == 0.0


def test_a_dead_sensor_is_silent_from_half_way(streams: Any, matching: Any) -> None:
    given = streams.record(streams.DRIVER, 20.0, streams.Fault("dead", 1))
    lidar = given.messages.streams == 1
    assert 90 <= lidar.sum() <= 110
    assert given.messages.arrivals_ns[lidar].max() < given.middle_ns + PERIOD_NS


def test_the_truth_does_not_step_with_a_clock(streams: Any, matching: Any) -> None:
    given = streams.record(streams.DRIVER, 20.0, streams.Fault("step", 2, -5.0))
    ahead = given.messages.stamps_ns - given.true_ns
    assert set(np.unique(ahead[given.messages.streams == 2]) // MS) == {-5000, 0}
    assert not ahead[given.messages.streams != 2].any()


@pytest.mark.parametrize(("backs", "back"), [((0.0, 300.0), 300.0), ((0.0, None), None)])
def test_of_several_recordings_the_worst_silence_and_recovery_count(
    matching: Any, backs: tuple[float | None, ...], back: float | None
) -> None:
    names = [field.name for field in dataclasses.fields(matching.Quality)]
    found = [matching.Quality(**{**dict.fromkeys(names, 10.0 * i), "back": one}) for i, one in enumerate(backs)]
    combined = matching.combine(found)
    assert combined.silence == combined.wait_max == 10.0 and combined.wait_mean == 5.0
    assert combined.back == back
