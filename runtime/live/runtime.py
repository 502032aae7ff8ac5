"""A bundle on live streams: push samples from any thread, take results from any other.

```
with Runtime(bundle, rig, engine) as runtime:
    camera.on_frame = lambda stamp_ns, pixels: runtime.push("camera", stamp_ns, Image(pixels))
    for result in runtime:
        ...
```

Producers never wait: not for the model, nor for callbacks, nor for whoever iterates. Three threads work: one of the C++
core matches (`edge.runtime.synchronize.live`), one runs the model on the latest set, one calls callbacks.
"""

from __future__ import annotations

import logging
import threading
import time
from itertools import count
from typing import TYPE_CHECKING

from edge.runtime.bundle import Bundle
from edge.runtime.errors import ConfigError, RunError, first_line
from edge.runtime.exit_guard import close_at_exit
from edge.runtime.fusion import Fusion, complete_rig, series_steps, sound_windows_ns
from edge.runtime.live.callbacks import CallbackThread
from edge.runtime.live.engine_guard import EngineGuard
from edge.runtime.live.result_queue import ResultQueue
from edge.runtime.live_clock import HostClock
from edge.runtime.run_steps import RunSteps
from edge.runtime.sample import Sample
from edge.runtime.synchronize.live import LiveSynchronizer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import TracebackType

    from edge.runtime.engines.base import Engine
    from edge.runtime.fusion import Inference
    from edge.runtime.live_clock import LiveClock
    from edge.runtime.result import FusedResult
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Payload
    from edge.runtime.trace.road_recorder import RoadRecorder
    from edge.runtime.trace.trace import Trace

RESULTS = 64
# How long `close` waits for a call of the user's code, an engine or a callback, that does not return.
PATIENCE_S = 10.0
_log = logging.getLogger(__name__)


class Runtime:
    """Runs a model on what is pushed; close it, best with `with`.

    Args:
        model: A bundle, or a fusion that was made of one.
        rig: The sensors that deliver; with a bundle, those that it lacks are taken from the bundle and stay silent.
        engine: Runs one of the bundle's graphs; a fusion has its own.
        streams: Those that will be pushed; all that the rig has by default.
        reopen: Makes a new engine after the old one has failed three times in a row, which is closed first if it has
            a `close`; None: the run then ends.
        results: Results that may wait to be iterated, and for callbacks; then the oldest gives way.
        depth: Matched sets that may wait for the model; with 1 it always gets the latest.
        clock: Another than the host's CLOCK_MONOTONIC: a recording's, or one that tests move.
        on_ready: Called on the inference thread with each result and the instant at which it was ready; it must be
            quick and not raise. Users want `on_result`.
        on_fused: Called likewise with each inference and the result that became of it, for who wants to see both; None:
            nobody does.
        on_thread: Called first on the inference thread, e.g. `RealtimeScope.enter_inference`; what it raises ends the
            run.
        beside: Streams of the rig that are looked at and matched though the model does not read them.
        roads: Takes the instants of each result, on the inference thread.

    Raises:
        RigError: The rig does not fit the model.
        BundleError: The bundle has no validated state for what the rig delivers.
        ConfigError: The arguments contradict each other.
    """

    def __init__(
        self,
        model: Bundle | Fusion,
        rig: Rig,
        engine: Engine | None = None,
        *,
        streams: Collection[str] | None = None,
        reopen: Callable[[], Engine] | None = None,
        results: int = RESULTS,
        depth: int = 1,
        clock: LiveClock | None = None,
        on_ready: Callable[[int, FusedResult], None] = lambda _ready_ns, _result: None,
        on_fused: Callable[[Inference, FusedResult], None] | None = None,
        on_thread: Callable[[], None] | None = None,
        beside: Collection[str] = (),
        roads: RoadRecorder | None = None,
    ) -> None:
        fusion, self._rig = _fusion_of(model, rig, engine)
        modalities = fusion.model_io.modalities
        read = (name for name in modalities if name in (rig.streams if streams is None else streams))
        self._streams = tuple(dict.fromkeys((*read, *beside)))
        clock = clock or HostClock()
        self._now_ns = clock.now_ns
        self._steps = RunSteps(self._rig, modalities, on_ready, on_fused, roads)
        self._guard = EngineGuard(fusion, reopen, self._now_ns)
        self._queue, self._callbacks = ResultQueue(results), CallbackThread(results)
        self._locks = {name: threading.Lock() for name in (*self._streams, *self._steps.motion_streams)}
        self._numbers = {name: count() for name in self._locks}
        self._closing = threading.Lock()
        self._closed = self._is_iterated = False
        self._failure: BaseException | None = None
        self._told = False
        windows_ns, steps = sound_windows_ns(fusion.model_io), series_steps(fusion.model_io)
        self._sync = LiveSynchronizer(self._rig, self._streams, windows_ns, steps, depth=depth, clock=clock)
        self._on_thread = on_thread
        self._thread = threading.Thread(target=self._work, name="edge-inference", daemon=True)
        self._thread.start()
        close_at_exit(self)

    def push(
        self,
        sample: Sample | str,
        stamp_ns: int = 0,
        payload: Payload | None = None,
        arrival_ns: int | None = None,
        /,
    ) -> bool:
        """Hands over a sample, or a stream's name, a stamp and a payload; the arrival is now if it is not given.

        The payload is adopted, not copied: do not write into it afterwards. Any thread may push. It is looked at
        first (`edge.runtime.sanity.gate`), which takes some microseconds; then it never waits.

        Returns:
            Whether it was taken; what was not is counted, save for streams that the model does not read and after
            the end.

        Raises:
            SampleError: A number does not fit in 64 bits.
            RunError: The run has failed.
        """
        name = sample.stream if isinstance(sample, Sample) else sample
        lock = self._locks.get(name)
        if lock is None:
            return False
        if self._failure is not None:
            raise _run_error(self._failure)
        with lock:  # what the gate remembers of a stream is in the order of its samples
            if not isinstance(sample, Sample):
                if payload is None:
                    return False
                arrived_ns = self._now_ns() if arrival_ns is None else arrival_ns
                sample = Sample(name, stamp_ns, arrived_ns, next(self._numbers[name]), payload)
            admission = self._steps.admit(sample)
            return admission.accepted and (not admission.is_matched or self._sync.push(sample))

    def on_result(self, callback: Callable[[FusedResult], object]) -> Callable[[FusedResult], object]:
        """Calls `callback` with every result from now on, on a thread that only does that; also as a decorator.

        What it raises is logged, counted (`callback:error`), kept in `callback_errors` and returned by `close`; it
        stops nothing.

        Raises:
            RunError: The runtime was closed.
        """
        if self._closed:
            raise RunError("the runtime is closed", "add callbacks before closing it")
        self._callbacks.add(callback)
        return callback

    def __iter__(self) -> Iterator[FusedResult]:
        """Results until it is closed, or finished and all were given.

        Without callbacks all results wait here; beside callbacks those since the first iteration began.

        Raises:
            RunError: The run has failed; what it gave before was given.
        """
        self._is_iterated = True
        while (result := self._queue.take()) is not None:
            yield result
        if self._failure is not None:
            self._told = True
            raise _run_error(self._failure)

    def finish(self) -> None:
        """No more samples: what was pushed still becomes results, which are iterated and called back with."""
        self._sync.finish()

    def join(self, timeout_s: float | None = None) -> bool:
        """After `finish`, waits until every callback was called; False where the time was over before."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        self._thread.join(timeout_s)
        left_s = None if until is None else max(0.0, until - time.monotonic())
        return not self._thread.is_alive() and self._callbacks.join(left_s)

    def settle(self, timeout_s: float = PATIENCE_S) -> bool:
        """Waits until what was pushed has been matched and due deadlines have fired; returns whether it has."""
        return self._sync.settle(timeout_s)

    def close(self) -> tuple[Exception, ...]:
        """Ends at once: what was not fused is dropped, and so are results that callbacks wait for.

        Returns:
            What callbacks raised, the last of it.

        Raises:
            RunError: The run has failed and no iteration has told so; or an engine or a callback did not return.
        """
        with self._closing:
            self._sync.close()
            self._callbacks.finish(discard=True)
            stuck = self._stuck()
            self._queue.close()
            if not self._closed:
                self._closed = True
                self._complete_trace()
        if stuck:
            raise RunError(f"{stuck} has not returned for {PATIENCE_S:.0f} s", "end the process, its thread is lost")
        if self._failure is not None and not self._told:
            self._told = True
            raise _run_error(self._failure)
        return tuple(self._callbacks.errors)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except RunError as failure:
            if error is None:
                raise
            _log.error("closing after another error: %s", failure)

    @property
    def rig(self) -> Rig:
        """The sensors, completed from the bundle by those that stay silent."""
        return self._rig

    @property
    def trace(self) -> Trace:
        """Figures of the run so far; complete once it is closed."""
        return self._steps.trace

    @property
    def callback_errors(self) -> tuple[Exception, ...]:
        """What callbacks raised, the last of it."""
        return tuple(self._callbacks.errors)

    @property
    def engine_error(self) -> Exception | None:
        """What the engine, or its reopening, raised last."""
        return self._guard.last_error

    @property
    def counts(self) -> dict[str, int]:
        """Everything unusual, as `what:reason`; see `LiveSynchronizer.counts`.

        Beside that: `engine:failed`, `engine:reopened`, `callback:error`, `callback:overrun`, `result:overrun`.
        """
        return {**self._sync.counts, **self._own_counts()}

    def _own_counts(self) -> dict[str, int]:
        found = {
            "engine:failed": self._guard.failures,
            "engine:reopened": self._guard.reopened,
            "callback:error": self._callbacks.failures,
            "callback:overrun": self._callbacks.dropped,
            "result:overrun": self._queue.dropped,
        }
        return {key: n for key, n in found.items() if n}

    def _work(self) -> None:
        """The inference thread."""
        try:
            if self._on_thread is not None:
                self._on_thread()
            for synced in self._sync:
                taken_ns = self._now_ns()
                self._emit(self._guard.run(self._steps.compensate(synced)), taken_ns)
                if self._guard.broken is not None:
                    raise self._guard.broken
        except BaseException as error:  # handed over to whoever calls next
            self._failure = error
            _log.error("the run has failed", exc_info=error)
            self._sync.close()
        finally:
            self._callbacks.finish()
            self._queue.close()

    def _emit(self, inference: Inference, taken_ns: int) -> None:
        result = self._steps.conclude(inference, self._now_ns(), taken_ns=taken_ns)
        if self._callbacks.active:
            self._callbacks.put(result)
        if self._is_iterated or not self._callbacks.active:
            self._queue.put(result)

    def _stuck(self) -> str:
        if threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                return "the engine"
        return "" if self._callbacks.join(PATIENCE_S) else "a callback"

    def _complete_trace(self) -> None:
        self._steps.complete(self._sync, self._streams)
        self.trace.dropped.update({k: n for k, n in self._own_counts().items() if k.endswith(":overrun")})
        for name, most in self._sync.high_water.items():
            self.trace.add_depth(name, most)


def _run_error(failure: BaseException) -> RunError:
    error = RunError(f"the run has failed: {first_line(failure)}", "mend the cause and start another")
    error.__cause__ = failure
    return error


def _fusion_of(model: Bundle | Fusion, rig: Rig, engine: Engine | None) -> tuple[Fusion, Rig]:
    if isinstance(model, Fusion):
        if engine is not None:
            raise ConfigError("both a fusion and an engine were given", "leave the engine out, the fusion has its own")
        return model, rig
    if engine is None:
        raise ConfigError("no engine was given", "pass one that runs a graph of the bundle")
    complete = complete_rig(rig, model)
    return Fusion(model, complete, engine), complete
