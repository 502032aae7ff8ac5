"""The feeder pushes when samples are due, ends what it feeds, and can be told to end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from edge.runtime.errors import SourceError
from edge.runtime.live.feeder import Feeder
from edge.runtime.live_clock import ManualClock
from edge.runtime.sample import Reading, Sample
from edge.runtime.trace.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.live.runtime import Runtime

MS = 1_000_000
VALUE = Reading(np.ones(1, np.float32), ("t",))


class Receiver:
    """Notes what is pushed, and when."""

    def __init__(self, clock: ManualClock) -> None:
        self.trace = Trace("room")
        self.pushed: list[tuple[int, int]] = []
        self.finished = threading.Event()
        self._clock = clock

    def push(self, sample: Sample) -> bool:
        self.pushed.append((sample.seq, self._clock.now_ns()))
        return True

    def finish(self) -> None:
        self.finished.set()


def samples(*arrivals_ms: int) -> Iterator[Sample]:
    for seq, at in enumerate(arrivals_ms):
        yield Sample("room", at * MS, at * MS, seq, VALUE)


def feeder(given: Iterator[Sample], receiver: Receiver, clock: Any) -> Feeder:
    return Feeder(given, cast("Runtime", receiver), clock)


def test_samples_are_pushed_when_they_are_due() -> None:
    clock = ManualClock(5 * MS)
    receiver = Receiver(clock)
    with feeder(samples(5, 10, 10, 400), receiver, clock) as feeding:
        assert receiver.finished.wait(10)
        feeding.raise_failure()
    assert receiver.pushed == [(0, 5 * MS), (1, 10 * MS), (2, 10 * MS), (3, 400 * MS)]


def test_samples_that_come_too_late_are_pushed_at_once_and_their_lag_noted() -> None:
    clock = ManualClock(100 * MS)
    receiver = Receiver(clock)
    with feeder(samples(40, 90), receiver, clock):
        assert receiver.finished.wait(10)
    assert [at for _, at in receiver.pushed] == [100 * MS] * 2
    assert receiver.trace.summary()["lag_ms"].max == pytest.approx(60, rel=0.01)


def test_what_breaks_off_is_raised_after_what_came_before() -> None:
    def broken() -> Iterator[Sample]:
        yield from samples(1, 2)
        raise SourceError("the file ends", "record it again")

    clock = ManualClock()
    receiver = Receiver(clock)
    with feeder(broken(), receiver, clock) as feeding:
        assert receiver.finished.wait(10)
        with pytest.raises(SourceError, match="the file ends"):
            feeding.raise_failure()
    assert len(receiver.pushed) == 2


def test_leaving_ends_the_thread_in_the_middle_of_a_wait() -> None:
    class Stopped(ManualClock):
        """Never gets there; tells when it is asked to."""

        def __init__(self) -> None:
            super().__init__()
            self.asked = threading.Event()

        def wait_until_ns(self, deadline_ns: int) -> None:
            assert deadline_ns <= self.now_ns() + 50 * MS, "it looks around in between"
            self.asked.set()

    clock = Stopped()
    receiver, before = Receiver(clock), threading.active_count()
    with feeder(samples(3_600_000), receiver, clock):
        assert clock.asked.wait(10)
    assert threading.active_count() == before
    assert receiver.pushed == []
    assert receiver.finished.is_set()
