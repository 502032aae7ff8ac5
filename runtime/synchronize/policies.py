"""The synchronization policies of the C++ core: which messages of several streams belong together.

Each is a plain function of what is pushed and of the time it is told: no thread, no clock, no payload. Messages go in
as `(stream, stamp, arrival, handle)`; matched sets come out by handle, and every handle is given back once, with the
reason, so that its payload can be freed.

| policy | a set is | waits |
| --- | --- | --- |
| `Anchored` | the nearest message of each stream to the anchor's stamp | until settled, at most the budget |
| `Exact` | equal stamps | for every stream |
| `Optimal` | the smallest spread (ROS's ApproximateTime) | for every stream |
| `Latest` | the newest of each stream at the anchor's message | never |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from edge.runtime import _core
from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.synchronize.messages import MatchedSet, Release, Released, StreamHealth, matched_set, stream_health

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

_ABSENCE = {"required": 0, "hold": 1, "mask": 2}
INT64_MAX = 2**63 - 1
STARTUP_NS = 2_000_000_000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a policy must know of a stream; all times in nanoseconds.

    Attributes:
        period_ns: Nominal time between two messages.
        policy: What to do where no fresh message matches, as in `rig.yaml`.
        max_age_ns: With `hold`, the oldest message that may stand in.
        min_period_ns: No two stamps are closer; None takes 31/32 of the period.
        tolerance_ns: The farthest fresh match from the anchor; None takes 1.05 periods.
        latency_offset_ns: Added to each stamp.
        transport_ns: Usual delay from stamp to arrival; None learns it from the first three messages. Where it is
            declared, a clock that is off from the start is mapped as if it had stepped.
        window_ns: Above 0, sets name all chunks of the window that ends at the anchor's stamp (`Anchored` only), and
            the one before.
        conceal_ns: The longest hole in a window that still makes it a window; half a period always is bridged.
        clock: Streams of one clock step together, by exactly the same amount.
    """

    period_ns: int
    policy: Literal["required", "hold", "mask"] = "required"
    max_age_ns: int = 0
    min_period_ns: int | None = None
    tolerance_ns: int | None = None
    latency_offset_ns: int = 0
    transport_ns: int | None = None
    window_ns: int = 0
    conceal_ns: int = 0
    clock: int = 0

    def to_core(self) -> _core.SyncStream:
        """The same for the C++ core.

        Raises:
            ConfigError: The policy is unknown, or a number does not fit.
        """
        if self.policy not in _ABSENCE:
            raise ConfigError(f"there is no stream policy '{self.policy}'", f"use one of {', '.join(_ABSENCE)}")
        return configured(
            lambda: _core.SyncStream(
                self.period_ns,
                self.min_period_ns or 0,
                self.tolerance_ns or 0,
                self.latency_offset_ns,
                self.transport_ns,
                self.max_age_ns,
                self.window_ns,
                self.conceal_ns,
                _ABSENCE[self.policy],
                self.clock,
            )
        )


class Policy:
    """What all policies offer; make one of the subclasses."""

    def __init__(self, core: _core.Synchronization) -> None:
        self._core = core

    def push(
        self,
        stream: int,
        stamp_ns: int,
        arrival_ns: int,
        handle: int,
        *,
        duration_ns: int = 0,
        now_ns: int | None = None,
    ) -> list[MatchedSet]:
        """Takes a message; returns the sets that are ready.

        Deadlines up to `now_ns` (None: the arrival) fire first. Time never runs back: an earlier `now_ns` counts as
        the latest seen.

        Raises:
            SampleError: A number does not fit in 64 bits.
        """
        try:
            now = arrival_ns if now_ns is None else now_ns
            ready = self._core.push(stream, stamp_ns, arrival_ns, handle, duration_ns, now)
        except TypeError as error:
            raise SampleError(
                f"message {handle!r} of stream {stream!r} has a number that is no 64-bit integer",
                "give stamps and arrivals in integer nanoseconds",
            ) from error
        return self._sets() if ready else []

    def advance(self, now_ns: int) -> list[MatchedSet]:
        """Lets time pass; returns the sets whose deadlines came."""
        return self._sets() if self._core.advance(min(now_ns, INT64_MAX)) else []

    def next_deadline_ns(self) -> int | None:
        """When `advance` next has something to do; None where only a message can change anything."""
        return self._core.next_deadline_ns()

    def flush(self, now_ns: int) -> list[MatchedSet]:
        """Emits what still waits for a deadline and lets go of every message: the source has ended."""
        return self._sets() if self._core.flush(now_ns) else []

    def take_released(self) -> list[Released]:
        """Messages that were let go of since the last call; ask often, payloads wait for it."""
        return [Released(handle, stream, Release(why)) for handle, stream, why in self._core.take_released()]

    def replay(self, messages: Messages) -> list[MatchedSet]:
        """Plays recorded messages in virtual time: each deadline fires at its own instant. Handles are positions."""
        self._core.replay(*messages.columns)
        return self._sets()

    def timed_replay(self, messages: Messages) -> tuple[float, int]:
        """Plays recorded messages and forgets the sets: seconds that it took, and how many sets there were."""
        return self._core.timed_replay(*messages.columns)

    def health(self, stream: int) -> StreamHealth:
        """Running facts of a stream.

        Raises:
            ConfigError: There is no such stream.
        """
        return stream_health(configured(lambda: self._core.health(stream)))

    @property
    def core(self) -> _core.Synchronization:
        """What a thread takes over; the policy is of no use here afterwards."""
        return self._core

    def _sets(self) -> list[MatchedSet]:
        return [matched_set(fields) for fields in self._core.take_sets()]


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """Recorded messages in the order of their arrival, one int64 array each, equally long.

    Attributes:
        streams: Stream of each.
        stamps_ns: Sensor's clock.
        arrivals_ns: Host's clock, never decreasing.
        durations_ns: Of chunks of sound, else 0.
    """

    streams: NDArray[np.int64]
    stamps_ns: NDArray[np.int64]
    arrivals_ns: NDArray[np.int64]
    durations_ns: NDArray[np.int64]

    @property
    def columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """In the core's order."""
        return self.streams, self.stamps_ns, self.arrivals_ns, self.durations_ns


class Anchored(Policy):
    """The default: anchored nearest match, settled watermark, hard deadline, anchor fail-over, epochs per stream.

    A stream is settled for the anchor's stamp T once nothing that may still arrive is nearer to T than what is there,
    or can arrive before the deadline, or once the stream has been silent for three periods. An anchor that is silent
    for one and a half periods is replaced by the ticks where its messages should have been, until it is back. A
    stream whose delay moves by more than `max(3 periods, 0.2 s)` for three messages gets a new offset and epoch.

    Args:
        streams: At most 64.
        anchor: Position of the stream that sets the pace.
        budget_ns: How long after the anchor's arrival the others are waited for, at most. Cut to half an anchor
            period and 20 ms: with that, the longest silence with any sensor dead is two anchor periods and 20 ms.
        remap: Notice clock steps and undo them.
        startup_ns: An anchor that never comes is given up when all other streams that are waited for have been heard,
            and so long after the first message at the latest.

    Raises:
        ConfigError: The numbers contradict each other.
    """

    def __init__(
        self,
        streams: Sequence[StreamSpec],
        anchor: int,
        *,
        budget_ns: int = 60_000_000,
        remap: bool = True,
        startup_ns: int = STARTUP_NS,
    ) -> None:
        core_streams = [stream.to_core() for stream in streams]
        core = configured(lambda: _core.AnchoredSync(core_streams, anchor, budget_ns, remap, startup_ns))
        super().__init__(core)
        self._anchored = core

    @property
    def budget_ns(self) -> int:
        """The budget in force."""
        return self._anchored.budget_ns

    @property
    def ticks_skipped(self) -> int:
        """Predicted ticks left out because `advance` was called more than a period late."""
        return self._anchored.ticks_skipped


class Exact(Policy):
    """Equal stamps only, as ROS's exact policy.

    Args:
        streams: At most 64. Put those that share stamps on one `clock`.
        queue_size: Messages kept of each stream.
        monotonic: A set lets go of everything older, as in ROS's C++ policy; its Python one keeps it, and may emit
            stamps that run back.
        remap: Notice clock steps and undo them.

    Raises:
        ConfigError: The numbers contradict each other.
    """

    def __init__(
        self, streams: Sequence[StreamSpec], *, queue_size: int = 10, monotonic: bool = True, remap: bool = True
    ) -> None:
        core_streams = [stream.to_core() for stream in streams]
        super().__init__(configured(lambda: _core.ExactSync(core_streams, queue_size, monotonic, remap)))


class Optimal(Policy):
    """ROS's adaptive ApproximateTime: sets of the smallest spread; waits for all streams, without a deadline.

    http://wiki.ros.org/message_filters/ApproximateTime; with `remap=False` it gives what ROS gives, as long as stamps
    do not run back: those are released as `backward`, where ROS drops what it held.

    Args:
        streams: At most 64.
        anchor: Whose stamp a set carries.
        queue_size: Messages kept of each stream.
        age_penalty: How much smaller, as a share, the spread of a later set must be to be preferred.
        max_interval_ns: Largest spread of a set; None for any.
        lower_bounds_ns: Least time between two messages of each stream; None for 0.
        remap: Notice clock steps and undo them.

    Raises:
        ConfigError: The numbers contradict each other.
    """

    def __init__(
        self,
        streams: Sequence[StreamSpec],
        anchor: int = 0,
        *,
        queue_size: int = 10,
        age_penalty: float = 0.1,
        max_interval_ns: int | None = None,
        lower_bounds_ns: Sequence[int] | None = None,
        remap: bool = True,
    ) -> None:
        core_streams = [stream.to_core() for stream in streams]
        bounds = list(lower_bounds_ns or ())
        super().__init__(
            configured(
                lambda: _core.OptimalSync(core_streams, anchor, queue_size, age_penalty, max_interval_ns, bounds, remap)
            )
        )


class Latest(Policy):
    """The newest message of each stream at every message of the anchor; never waits.

    Messages that were part of a set before are held; those older than their stream's `max_age_ns`, if that is above
    0, are missing.

    Args:
        streams: At most 64.
        anchor: Position of the stream that sets the pace.
        remap: Notice clock steps and undo them.

    Raises:
        ConfigError: The numbers contradict each other.
    """

    def __init__(self, streams: Sequence[StreamSpec], anchor: int, *, remap: bool = True) -> None:
        core_streams = [stream.to_core() for stream in streams]
        super().__init__(configured(lambda: _core.LatestSync(core_streams, anchor, remap)))


def configured(make: Callable[[], _T], remedy: str = "mend the stream's rate, policy or limits in the rig") -> _T:
    """What `make` gives; the core's refusals become a `ConfigError`."""
    try:
        return make()
    except (ValueError, TypeError) as error:
        problem = (
            str(error).splitlines()[0] if isinstance(error, ValueError) else "a number is of the wrong type or size"
        )
        raise ConfigError(f"synchronization: {problem}", remedy) from error
