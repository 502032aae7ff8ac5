"""Threads that push what broken sensors deliver, and a record of which payloads are still alive."""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.statistics import LogHistogram

if TYPE_CHECKING:
    from edge.runtime.faults import FaultySource
    from edge.runtime.live.runtime import Runtime
    from edge.runtime.sample import Payload


class LivePayloads:
    """Arrays that were pushed and are still referenced; forgets those that died, so that it does not grow itself.

    Attributes:
        watched: Arrays so far.
        most: Of each stream, the most that were alive at once.
    """

    def __init__(self) -> None:
        self._alive: dict[int, weakref.ref[np.ndarray[Any, Any]]] = {}
        self._lock = threading.RLock()  # an array may die within `watch`
        self._counts: Counter[str] = Counter()
        self.watched = 0
        self.most: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._alive)

    def watch(self, stream: str, payload: Payload) -> None:
        """Follows the payload's arrays."""
        for field in fields(payload):
            array = getattr(payload, field.name)
            if isinstance(array, np.ndarray):
                self._watch_one(stream, array)

    def _watch_one(self, stream: str, array: np.ndarray[Any, Any]) -> None:
        key = id(array)
        with self._lock:
            known = self._alive.get(key)
            if known is not None and known() is array:
                return  # frozen or a duplicate
            self._alive[key] = weakref.ref(array, lambda gone: self._forget(stream, key, gone))
            self.watched += 1
            self._counts[stream] += 1
            self.most[stream] = max(self._counts[stream], self.most.get(stream, 0))

    def _forget(self, stream: str, key: int, gone: weakref.ref[np.ndarray[Any, Any]]) -> None:
        with self._lock:
            self._counts[stream] -= 1
            if self._alive.get(key) is gone:  # another array may have taken its place
                del self._alive[key]


class Producer(threading.Thread):
    """Pushes everything that a source gives, as it comes.

    Attributes:
        pushed: Samples.
        taken: Of those, the ones that the runtime took.
        error: What a push raised.
        blocked: How long pushes took.
    """

    def __init__(self, source: FaultySource, runtime: Runtime, payloads: LivePayloads) -> None:
        super().__init__(name="soak-producer", daemon=True)
        self._source, self._runtime, self._payloads = source, runtime, payloads
        self.pushed = self.taken = 0
        self.error: BaseException | None = None
        self.blocked = LogHistogram()

    def run(self) -> None:
        try:
            for sample in self._source.samples():
                self._payloads.watch(sample.stream, sample.payload)
                begun_ns = time.monotonic_ns()
                self.taken += self._runtime.push(replace(sample, arrival_ns=begun_ns))
                self.blocked.add(time.monotonic_ns() - begun_ns)
                self.pushed += 1
        except BaseException as error:  # handed over to whoever asks at the end
            self.error = error
