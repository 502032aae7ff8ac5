"""A run at the pace of a recording: a thread hands its samples to a `Runtime` when they are due."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from edge.runtime.live.runtime import Runtime
    from edge.runtime.live_clock import LiveClock
    from edge.runtime.sample import Sample

# Between two looks at whether the run is to end.
_SLICE_NS = 50 * NS_PER_MS


class Feeder:
    """Pushes samples into a runtime when they are due, on a thread; a context manager that leaves none behind.

    At the end of the samples, or where they break off, it finishes the runtime, so that whoever iterates its results
    comes to their end.

    Args:
        samples: In the order of their arrival.
        runtime: Takes them.
        clock: The runtime's own; arrivals are on it.
    """

    def __init__(self, samples: Iterator[Sample], runtime: Runtime, clock: LiveClock) -> None:
        self._samples, self._runtime, self._clock = samples, runtime, clock
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, name="edge-feeder", daemon=True)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def raise_failure(self) -> None:
        """Raises what made the samples break off, if anything did."""
        if self._error is not None:
            raise self._error

    def _feed(self) -> None:
        try:
            for sample in self._samples:
                if not self._wait_until(sample.arrival_ns):
                    return
                self._runtime.trace.add_lag(self._clock.now_ns() - sample.arrival_ns)
                self._runtime.push(sample)
        except BaseException as error:  # handed over to the caller's thread
            self._error = error
        finally:
            self._runtime.finish()

    def _wait_until(self, at_ns: int) -> bool:
        """False where the run ends before."""
        while not self._stop.is_set():
            if self._clock.now_ns() >= at_ns:
                return True
            self._clock.wait_until_ns(min(at_ns, self._clock.now_ns() + _SLICE_NS))
        return False
