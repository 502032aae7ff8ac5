"""One life of a runtime: opened, fed by broken sensors from four threads, watched, and closed under load."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_S
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ModelError
from edge.runtime.faults import FaultySource
from edge.runtime.live.runtime import Runtime
from edge.runtime.simulate.rig import street_rig
from edge.runtime.statistics import LogHistogram
from tests.soak.fault_schedule import draw_faults
from tests.soak.producers import LivePayloads, Producer
from tests.soak.sensors import RealTimeSensor
from tests.soak.vital_signs import waited_for_cpu_ns
from tests.soak.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine
    from edge.runtime.result import FusedResult

STREAMS = ("camera", "lidar", "audio", "odometry")
PATIENCE_S = 20.0
RAISES_EVERY, BLOCKS_EVERY, BLOCKS_S = 7, 11, 0.05
FAILS_EVERY, BREAKS_AT = 40, 100


class UserError(Exception):
    """What the callback raises on purpose."""


class FragileEngine:
    """A real engine that fails now and then, and dies once: until it is reopened it fails every time."""

    def __init__(self, engine: Engine, *, mortal: bool) -> None:
        self._engine, self._mortal = engine, mortal
        self._runs = 0
        self.name = engine.name

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self._runs += 1
        if self._runs % FAILS_EVERY == 0 or (self._mortal and self._runs > BREAKS_AT):
            raise ModelError("failed on purpose", "nothing, the soak does this")
        return self._engine.run(inputs)


@dataclass
class Tally:
    """What all lives together have done.

    Attributes:
        unusual: What the runtimes counted, drops and all.
        iterated: Results that came out of the runtimes' iterators.
        iterated_back: Of those, the ones whose stamp was not later than the one before.
        raised: Calls of the callback that raised, on purpose.
        closing_s: The longest that ending a runtime took.
        waited_s: For how long threads were ready to run but had no CPU.
        errors: What should not have been raised.
    """

    witness: Witness = field(default_factory=Witness)
    payloads: LivePayloads = field(default_factory=LivePayloads)
    hits: Counter[str] = field(default_factory=Counter)
    unusual: Counter[str] = field(default_factory=Counter)
    high_water: dict[str, int] = field(default_factory=dict)
    blocked: LogHistogram = field(default_factory=LogHistogram)
    pushed: int = 0
    taken: int = 0
    iterated: int = 0
    iterated_back: int = 0
    called: int = 0
    raised: int = 0
    closing_s: float = 0.0
    waited_s: float = 0.0
    lives: int = 0
    errors: list[str] = field(default_factory=list)


class _User:
    """Iterates on one thread and is called on another; both count."""

    def __init__(self, runtime: Runtime, tally: Tally) -> None:
        self._runtime, self._tally = runtime, tally
        runtime.on_result(self._called)
        self.thread = threading.Thread(target=self._iterate, name="soak-consumer", daemon=True)
        self.thread.start()

    def _called(self, result: FusedResult) -> None:
        self._tally.called += 1
        if result.seq % BLOCKS_EVERY == 0:
            time.sleep(BLOCKS_S)
        if result.seq % RAISES_EVERY == 0:
            self._tally.raised += 1
            raise UserError(result.seq)

    def _iterate(self) -> None:
        last_ns: int | None = None
        try:
            for result in self._runtime:
                self._tally.iterated += 1
                self._tally.iterated_back += last_ns is not None and result.stamp_ns <= last_ns
                last_ns = result.stamp_ns
        except Exception as error:  # the runtime must not have failed
            self._tally.errors.append(f"iterating: {error!r}")


@contextmanager
def life(bundle: Bundle, tally: Tally, seconds: float, seed: int) -> Iterator[Runtime]:
    """Opens a runtime under load; at the end closes it while sensors still push, and adds up.

    Args:
        bundle: Of the small model.
        tally: Takes the figures.
        seconds: How long it will last: faults are drawn for that.
        seed: Of everything random. Odd ones are finished and joined before they are closed.
    """
    graph = bundle.graph("fp32")
    engine = FragileEngine(OnnxRuntimeEngine(graph), mortal=True)
    rig = street_rig(odometry=True)
    tally.witness.begin_of_life()
    waited_ns = waited_for_cpu_ns()
    runtime = Runtime(
        bundle,
        rig,
        engine,
        reopen=lambda: FragileEngine(OnnxRuntimeEngine(graph), mortal=False),
        on_ready=tally.witness.see,
    )
    user, stop = _User(runtime, tally), threading.Event()
    sources = [
        FaultySource(RealTimeSensor(rig, name, stop, seed), draw_faults(name, seconds, (seed,)), seed)
        for name in STREAMS
    ]
    begun_ns = time.monotonic_ns()
    producers = [Producer(source, runtime, tally.payloads) for source in sources]
    for producer in producers:
        producer.start()
    try:
        yield runtime
    finally:
        tally.witness.end_of_life()
        tally.waited_s += (waited_for_cpu_ns() - waited_ns) / NS_PER_S
        _end(runtime, tally, drained=seed % 2 == 1)
        stop.set()
        _join([*producers, user.thread], tally)
        tally.witness.explain(begun_ns, [fault for source in sources for fault in source.faults])
        _add_up(runtime, producers, sources, tally)


def _end(runtime: Runtime, tally: Tally, *, drained: bool) -> None:
    """Closes it, with the producers at work."""
    begun_ns = time.monotonic_ns()
    if drained:
        runtime.finish()
        if not runtime.join(PATIENCE_S):
            tally.errors.append("finish: the runtime did not come to its end")
    raised = runtime.close()
    tally.closing_s = max(tally.closing_s, (time.monotonic_ns() - begun_ns) / NS_PER_S)
    tally.errors += [f"a callback: {error!r}" for error in raised if not isinstance(error, UserError)]


def _join(threads: Sequence[threading.Thread], tally: Tally) -> None:
    for thread in threads:
        thread.join(PATIENCE_S)
        if thread.is_alive():
            tally.errors.append(f"{thread.name} does not end")


def _add_up(runtime: Runtime, producers: list[Producer], sources: list[FaultySource], tally: Tally) -> None:
    tally.lives += 1
    for producer, source in zip(producers, sources, strict=True):
        tally.pushed += producer.pushed
        tally.taken += producer.taken
        tally.blocked.merge(producer.blocked)
        if producer.error is not None:
            tally.errors.append(f"a producer: {producer.error!r}")
        for text, hits in source.hits.items():
            tally.hits[text.partition(":")[2].partition("@")[0]] += hits
    tally.unusual.update(runtime.counts)
    tally.unusual.update({k: n for k, n in runtime.trace.dropped.items() if k not in runtime.counts})
    for name, most in runtime.trace.high_water.items():
        tally.high_water[name] = max(most, tally.high_water.get(name, 0))
