"""Reads a source ahead of time in a thread, so that decoding a file never delays the chain."""

from __future__ import annotations

import math
import queue
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType

    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample

AHEAD = 128
# The chain starts when so many are there, or all.
FIRST = 64
_POLL_S = 0.05


def frames_ahead(rig: Rig, streams: Collection[str]) -> dict[str, int]:
    """How many samples of each stream are among those that are read ahead, by their rates; one more for chance."""
    rates = {name: rig.stream(name).rate_hz for name in streams}
    return {name: math.ceil(AHEAD * rate / sum(rates.values())) + 1 for name, rate in rates.items()}


class _End(NamedTuple):
    """Ends the queue; `error` is what stopped the reader before its time."""

    error: BaseException | None


class ReadAhead:
    """Iterates over samples that a thread has read; a context manager that leaves no thread behind.

    Entering waits until `FIRST` samples are there. What the reader raises is raised where its sample would have been
    given.

    Args:
        samples: Read in the thread; at most `ahead` are kept.
        ahead: Bound of the queue.
    """

    def __init__(self, samples: Iterator[Sample], ahead: int = AHEAD) -> None:
        self._source = samples
        self._queue: queue.Queue[Sample | _End] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._filled = threading.Event()
        self._first = min(FIRST, ahead)
        self._thread = threading.Thread(target=self._read, name="edge-read-ahead", daemon=True)

    def __enter__(self) -> Iterator[Sample]:
        self._thread.start()
        try:
            while not self._filled.wait(_POLL_S):
                continue
        except BaseException:
            self._shut()
            raise
        return self._iterate()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut()

    def _iterate(self) -> Iterator[Sample]:
        while not isinstance(item := self._get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def _get(self) -> Sample | _End:
        while not self._stop.is_set():
            try:
                return self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
        return _End(None)

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for count, sample in enumerate(self._source, start=1):
                if not self._put(sample):
                    return
                if count >= self._first:
                    self._filled.set()
        except BaseException as raised:  # handed over to the caller's thread
            error = raised
        finally:
            self._filled.set()
        self._put(_End(error))

    def _put(self, item: Sample | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def _shut(self) -> None:
        self._stop.set()
        self._thread.join()
