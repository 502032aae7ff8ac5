"""What the compiled synchronization policies give: matched sets by handle, and the handles they let go of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias


class Presence(IntEnum):
    """How a stream takes part in a set; all but the first two mean that it is missing, and why."""

    FRESH = 0
    HELD = 1
    NEVER_SEEN = 2
    SILENT = 3
    REMAPPING = 4
    TOO_FAR = 5
    GAP = 6
    SHORT = 7


class Release(IntEnum):
    """Why a message was let go of; each that was pushed is let go of exactly once.

    USED was part of a set and PASSED never the nearest. LATE, DUPLICATE, STUCK, BACKWARD and FUTURE tell what was
    wrong with the stamp; SUPERSEDED is an anchor that came right after its predicted tick. OVERFLOW is a full
    history, OUT_OF_RANGE a stamp beyond 127 years, FLUSHED the end.
    """

    USED = 0
    PASSED = 1
    LATE = 2
    DUPLICATE = 3
    STUCK = 4
    BACKWARD = 5
    FUTURE = 6
    SUPERSEDED = 7
    OVERFLOW = 8
    OUT_OF_RANGE = 9
    FLUSHED = 10


class Member(NamedTuple):
    """One stream's part in a set.

    Attributes:
        presence: Fresh, held, or why it is missing.
        stamp_ns: On the common axis: of the message, or the end of the window.
        epoch: How often the stream's clock had been re-mapped.
        handles: The message, or the window's chunks from old to new; empty where missing.
        stamps_ns: Of each of them, on the common axis.
    """

    presence: Presence
    stamp_ns: int
    epoch: int
    handles: tuple[int, ...]
    stamps_ns: tuple[int, ...]

    @property
    def present(self) -> bool:
        """Whether there is anything to use."""
        return self.presence <= Presence.HELD


class MatchedSet(NamedTuple):
    """Messages that belong together, one member a stream.

    Attributes:
        seq: Running number.
        anchor_stamp_ns: On the common axis; it only ever grows.
        emitted_ns: When the set was complete, or its deadline came.
        spread_ns: Between the oldest and the newest member.
        predicted: Whether the anchor was silent and the stamp is where its next one should have been.
        members: In the order of the streams.
    """

    seq: int
    anchor_stamp_ns: int
    emitted_ns: int
    spread_ns: int
    predicted: bool
    members: tuple[Member, ...]

    @property
    def complete(self) -> bool:
        """Whether every stream gave a fresh message."""
        return all(member.presence is Presence.FRESH for member in self.members)


class Released(NamedTuple):
    """A handle that the policy no longer refers to."""

    handle: int
    stream: int
    why: Release


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """Running facts of one stream.

    Attributes:
        received: Messages pushed.
        released: How many were let go of, by reason; reasons that never occurred are left out.
        out_of_order: Older than their predecessor, used nevertheless.
        negative_delays: Arrived before they were measured: the clock's offset or the latency offset is wrong.
        epoch: How often the clock was re-mapped.
        epoch_offset_ns: What the epochs added to the stamps.
        stuck: Whether the last three stamps or more are equal.
        delay_ns: Mean of arrival minus stamp.
        min_delay_ns: The smallest, since the epoch began.
        offset_estimate_ns: How far the stamps seem ahead: the declared transport delay minus `delay_ns`.
        drift_ppm: Positive where the sensor's clock runs fast; None until there are three stretches of 5 s.
    """

    received: int
    released: dict[Release, int]
    out_of_order: int
    negative_delays: int
    epoch: int
    epoch_offset_ns: int
    stuck: bool
    delay_ns: int
    min_delay_ns: int
    offset_estimate_ns: int
    drift_ppm: float | None


MatchedFields: TypeAlias = "tuple[int, int, int, int, bool, list[tuple[int, int, int, list[int], list[int]]]]"
HealthFields: TypeAlias = "tuple[int, list[int], int, int, int, int, bool, int, int, int, float]"


def matched_set(fields: MatchedFields) -> MatchedSet:
    """A set as the core hands it over."""
    seq, anchor, emitted, spread, predicted, members = fields
    named = tuple(Member(Presence(p), stamp, epoch, tuple(h), tuple(s)) for p, stamp, epoch, h, s in members)
    return MatchedSet(seq, anchor, emitted, spread, predicted, named)


def stream_health(fields: HealthFields) -> StreamHealth:
    """A stream's facts as the core hands them over."""
    released = {Release(i): count for i, count in enumerate(fields[1]) if count}
    drift = None if math.isnan(fields[10]) else fields[10]
    return StreamHealth(fields[0], released, *fields[2:10], drift)
