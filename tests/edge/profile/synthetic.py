"""A clock that only calls move, and subjects that take what they are told to: nothing here waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from edge.profile.contents import LayerTime, Subject
from edge.profile.subjects.timed import TimedSubject
from edge.runtime.statistics import WarmUp

QUICK = WarmUp(window=4, max_calls=40)


class SyntheticClock:
    """Nanoseconds that stand still between calls.

    Attributes:
        now_ns: The time.
        readings: How often it was asked.
    """

    def __init__(self) -> None:
        self.now_ns, self.readings = 0, 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        self.readings += 1
        return self.now_ns

    def pass_ns(self, duration: int) -> None:
        """Lets time pass."""
        with self._lock:
            self.now_ns += duration

    def taking(self, durations: Iterable[int]) -> Callable[[], None]:
        """A call that takes what comes next."""
        turns = iter(durations)

        def call() -> None:
            self.pass_ns(next(turns))

        return call


def synthetic_subject(run: Callable[[], object], **changed: Any) -> TimedSubject:
    """A subject that is only a call."""
    subject = Subject(name="null", kind="onnx", digest="0" * 64, engine="null", inputs={"x": (1, 2)})
    return TimedSubject(changed.pop("subject", subject), run, threads={"engine": 1}, **changed)


def one_layer(rounds: int) -> tuple[LayerTime, ...]:
    """Tells its rounds as its time."""
    return (LayerTime(name="only", kind="Conv", ms=float(rounds)),)
