"""The synchronizer on a thread of its own: sensors push when they have something, sets are taken when they are ready.

The thread is the C++ core's. It runs no Python and never waits for its lock, so that neither a slow consumer nor a
busy interpreter delays a deadline; and no push ever waits for a consumer.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, cast, overload

from edge.runtime import _core
from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import ConfigError, RunError, SampleError
from edge.runtime.exit_guard import close_at_exit
from edge.runtime.live_clock import HostClock
from edge.runtime.sample import Sample
from edge.runtime.synchronize.messages import matched_set, stream_health
from edge.runtime.synchronize.policies import Anchored, Exact, Latest, Optimal, Policy, configured
from edge.runtime.synchronize.rig_streams import streams_of
from edge.runtime.synchronize.series import histories_of, history_room
from edge.runtime.synchronize.synced import is_usable, message_duration_ns, synced_set
from edge.runtime.synchronize.tally import OVERRUN, UNUSABLE, clock_counts, drop_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from edge.runtime.live_clock import LiveClock
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Payload
    from edge.runtime.synchronize.messages import StreamHealth
    from edge.runtime.synchronize.rig_streams import RigStreams
    from edge.runtime.synchronize.series import ReadingHistory
    from edge.runtime.synchronize.synced import SyncedSet

PolicyName: TypeAlias = Literal["anchored", "exact", "optimal", "latest"]
# Seconds of a stream that its ring has room for: what a driver that was stuck hands over at once.
RING_S = 2.0
LEAST_RING = 16
_POLICIES: dict[str, Callable[[RigStreams], Policy]] = {
    "anchored": lambda streams: Anchored(streams.specs, streams.anchor, budget_ns=streams.budget_ns),
    "exact": lambda streams: Exact(streams.specs),
    "optimal": lambda streams: Optimal(streams.specs, streams.anchor),
    "latest": lambda streams: Latest(streams.specs, streams.anchor),
}
_ACCEPTED, _FAILED = 0, 4
_SIZES = "give a depth between 1 and 4096 and a ring between 1 and 65536"


class LiveMemory(NamedTuple):
    """What a live synchronizer holds, known before it is made.

    Attributes:
        bytes: Rings, frame slots, histories and sets together; payloads are adopted and not in it.
        frames: By stream, how many payloads it keeps alive at most, those for series among them.
        in_set: By stream, how many of them one set may name.
    """

    bytes: int
    frames: dict[str, int]
    in_set: dict[str, int]


class _Lane(NamedTuple):
    position: int
    is_sound: bool
    numbers: count[int]
    history: ReadingHistory | None


class LiveSynchronizer:
    """Matches what sensors push, on a thread of its own.

    Payloads are adopted by reference, never copied: do not write into one after pushing it. They are let go of on
    whatever thread pushes or takes next, and by `close`. Any thread may push, any may take. With `depth` 1 the latest
    set wins. `close` it, best with `with`.

    Args:
        rig: Rates, clocks, policies, the anchor and the budget.
        streams: Those that will be pushed; others are ignored. The anchor may be absent.
        window_ns: Length of the window of each audio stream.
        steps: Readings of a series, of each table stream that is read as such.
        policy: `anchored` alone cuts windows; with another, sound is matched chunk by chunk.
        depth: Sets that may wait to be taken.
        overflow: Which set is dropped, and counted, when more come: the `oldest` or the `newest`.
        ring: Samples of a stream that may wait for the thread; two seconds of each by default.
        clock: Another than the host's CLOCK_MONOTONIC; arrivals are on it.

    Raises:
        RigError: The rig lacks a stream.
        ConfigError: Its numbers contradict each other, a window was asked of a policy that cuts none, or a series of
            a stream that is no table.
    """

    def __init__(
        self,
        rig: Rig,
        streams: Iterable[str],
        window_ns: Mapping[str, int],
        steps: Mapping[str, int] | None = None,
        *,
        policy: PolicyName = "anchored",
        depth: int = 1,
        overflow: Literal["oldest", "newest"] = "oldest",
        ring: int | None = None,
        clock: LiveClock | None = None,
    ) -> None:
        announced = tuple(streams)
        self._streams = _streams_for(policy, rig, announced, window_ns)
        self._histories = histories_of(rig, announced, steps or {}, depth)
        self._lanes = {
            name: _Lane(i, spec.window_ns > 0, count(), self._histories.get(name))
            for i, (name, spec) in enumerate(zip(self._streams.names, self._streams.specs, strict=True))
            if name in announced
        }
        clock = clock or HostClock()
        self._now_ns = clock.now_ns
        self._unusual: Counter[str] = Counter()
        core, rings = _POLICIES[policy](self._streams).core, _rings(self._streams, ring)
        core_clock = clock.core
        self._core = configured(lambda: _core.LiveSync(core, rings, depth, overflow == "newest", core_clock), _SIZES)
        self._push = self._core.push
        close_at_exit(self)

    @staticmethod
    def memory(
        rig: Rig,
        streams: Iterable[str],
        window_ns: Mapping[str, int],
        steps: Mapping[str, int] | None = None,
        *,
        policy: PolicyName = "anchored",
        depth: int = 1,
        ring: int | None = None,
    ) -> LiveMemory:
        """What one with these arguments would hold; the arguments and errors are the constructor's."""
        chosen = _streams_for(policy, rig, tuple(streams), window_ns)
        core, rings = _POLICIES[policy](chosen).core, _rings(chosen, ring)
        size, frames, in_set = configured(lambda: _core.live_memory(core, rings, depth), _SIZES)
        names, asked = chosen.names, steps or {}
        kept = dict(zip(names, frames, strict=True))
        kept |= {name: kept[name] + history_room(rig, name, asked[name], depth) for name in names if name in asked}
        return LiveMemory(size, kept, dict(zip(names, in_set, strict=True)))

    @overload
    def push(self, sample: Sample, /) -> bool: ...

    @overload
    def push(self, stream: str, stamp_ns: int, payload: Payload, arrival_ns: int | None = None, /) -> bool: ...

    def push(
        self,
        sample: Sample | str,
        stamp_ns: int = 0,
        payload: Payload | None = None,
        arrival_ns: int | None = None,
        /,
    ) -> bool:
        """Hands over a sample, or a stream's name, a stamp and a payload; the arrival is now if it is not given.

        Never waits. Samples of streams that were not announced are ignored.

        Returns:
            Whether it was taken; what was not is counted in `dropped`, save after the end.

        Raises:
            SampleError: A number does not fit in 64 bits.
            RunError: The thread has failed.
        """
        if not isinstance(sample, Sample):
            if payload is None or sample not in self._lanes:
                return False
            arrived_ns = self._now_ns() if arrival_ns is None else arrival_ns
            sample = Sample(sample, stamp_ns, arrived_ns, next(self._lanes[sample].numbers), payload)
        lane = self._lanes.get(sample.stream)
        if lane is None:
            return False
        if not is_usable(sample, sound=lane.is_sound, series=lane.history is not None):
            self._unusual[f"{sample.stream}:{UNUSABLE}"] += 1
            return False
        duration_ns = message_duration_ns(sample) if lane.is_sound else 0
        if lane.history is not None:
            lane.history.add(sample)
        try:
            # With the interpreter's lock, held for the microsecond that this takes: see `push` in bind_live.cpp.
            result = self._push(lane.position, sample.stamp_ns, sample.arrival_ns, sample.seq, duration_ns, sample)
        except TypeError as error:
            raise _not_integers(sample) from error
        if result == _FAILED:
            self._raise_failure()
        return result == _ACCEPTED

    def take(self, timeout_s: float | None = None) -> SyncedSet | None:
        """The oldest set that waits; waits for one, on the wall clock and without the interpreter's lock.

        Returns:
            None where the time was over, or where it was closed or finished and nothing is left.

        Raises:
            RunError: The thread has failed.
        """
        try:
            taken = self._core.take(None if timeout_s is None else max(0, round(timeout_s * NS_PER_S)))
        except RuntimeError as error:
            raise _failure(error) from error
        if taken is None:
            return None
        fields, samples = taken
        one = synced_set(matched_set(fields), self._streams, cast("list[Sample]", samples).__getitem__, self._histories)
        self._unusual.update(f"{name}:concealed" for name in one.concealed_ms)
        return one

    def __iter__(self) -> Iterator[SyncedSet]:
        """Sets until it is closed, or finished and empty."""
        while (one := self.take()) is not None:
            yield one

    def finish(self) -> None:
        """No more samples: what was pushed is still matched, what waits for a deadline is emitted at once."""
        self._core.finish()

    def settle(self, timeout_s: float = 10.0) -> bool:
        """Waits until all that was pushed has been matched and due deadlines have fired; returns whether it has."""
        return self._core.settle(round(timeout_s * NS_PER_S))

    def close(self) -> None:
        """Ends the thread at once; what was pushed or waits to be taken is dropped, and all payloads are let go of."""
        self._core.close()

    def __enter__(self) -> LiveSynchronizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of all streams that a set tells of."""
        return self._streams.names

    @property
    def counts(self) -> dict[str, int]:
        """Everything unusual, as `stream:what`: the reasons of `dropped`, reordered, clock_step, concealed."""
        clocks = clock_counts(self._streams.names, self._health)
        return dict(sorted({**self._unusual, **self.dropped}.items())) | clocks

    @property
    def dropped(self) -> dict[str, int]:
        """Samples and sets that were not used, as `stream:reason`.

        Beside the policy's reasons: `ring_full` (the thread is starved), `no_frame` (taken sets were kept too long),
        `unusable` sound, and `set:overrun` for sets that nobody took in time.
        """
        found = drop_counts(self._streams.names, self._health)
        for i, name in enumerate(self._streams.names):
            _, ring_full, no_frame, _ = self._core.counts(i)
            found |= {f"{name}:ring_full": ring_full, f"{name}:no_frame": no_frame}
        found |= {key: n for key, n in self._unusual.items() if key.endswith(f":{UNUSABLE}")}
        found[OVERRUN] = self._core.sets_dropped
        return {key: n for key, n in found.items() if n}

    @property
    def high_water(self) -> dict[str, int]:
        """The most samples of each stream that waited, found by the thread or in a full ring, as `ring:stream`."""
        return {f"ring:{name}": self._core.counts(i)[3] for i, name in enumerate(self._streams.names)}

    @property
    def wakes(self) -> int:
        """How often a push had to wake the thread."""
        return self._core.wakes

    @property
    def waiting(self) -> int:
        """Sets that wait to be taken."""
        return self._core.sets_waiting

    @property
    def held_samples(self) -> int:
        """How many samples are kept alive; readings of past sets for a series aside."""
        return sum(self._core.frames_in_use(i) for i in range(len(self._streams.names)))

    def health(self, stream: str) -> StreamHealth:
        """Delays, clock offset and drift, epochs, and what was let go of.

        Raises:
            ConfigError: The stream takes no part.
        """
        names = self._streams.names
        if stream not in names:
            raise ConfigError(f"stream '{stream}' takes no part", f"ask for one of {', '.join(names)}")
        return self._health(names.index(stream))

    def _health(self, position: int) -> StreamHealth:
        return stream_health(self._core.health(position))

    def _raise_failure(self) -> None:
        try:
            self._core.raise_failure()
        except RuntimeError as error:
            raise _failure(error) from error


def _streams_for(policy: str, rig: Rig, streams: tuple[str, ...], window_ns: Mapping[str, int]) -> RigStreams:
    if policy not in _POLICIES:
        raise ConfigError(f"there is no synchronization policy '{policy}'", f"use one of {', '.join(_POLICIES)}")
    chosen = streams_of(rig, streams, window_ns)
    if policy == "anchored":
        return chosen
    if any(window_ns.get(name) for name in chosen.names):
        raise ConfigError(f"the policy '{policy}' cuts no windows of sound", "use 'anchored', or ask for no window")
    return chosen._replace(specs=tuple(replace(spec, window_ns=0) for spec in chosen.specs))


def _rings(streams: RigStreams, ring: int | None) -> list[int]:
    if ring is not None:
        return [ring] * len(streams.names)
    return [max(LEAST_RING, math.ceil(RING_S * NS_PER_S / spec.period_ns)) for spec in streams.specs]


def _failure(error: RuntimeError) -> RunError:
    return RunError(f"the thread that matches has failed: {error}", "close the synchronizer and start another")


def _not_integers(sample: Sample) -> SampleError:
    return SampleError(
        f"sample {sample.seq!r} of stream '{sample.stream}' has a number that is no 64-bit integer",
        "give stamps and arrivals in integer nanoseconds",
    )
