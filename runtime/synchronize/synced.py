"""From what the core matched, by handle, to a set of samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.clock import NS_PER_MS
from edge.runtime.sample import AudioChunk, Reading
from edge.runtime.synchronize.messages import Presence
from edge.runtime.synchronize.series import GAP, INCOMPLETE
from edge.runtime.synchronize.sound import StampedChunk, chunk_duration_ns, cut_window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.runtime.sample import Sample
    from edge.runtime.synchronize.messages import MatchedSet, Member
    from edge.runtime.synchronize.policies import StreamSpec
    from edge.runtime.synchronize.rig_streams import RigStreams
    from edge.runtime.synchronize.series import ReadingHistory

MISSING = {
    Presence.NEVER_SEEN: "never seen",
    Presence.SILENT: "silent",
    Presence.REMAPPING: "clock step",
    Presence.TOO_FAR: "late",
    Presence.GAP: GAP,
    Presence.SHORT: INCOMPLETE,
}


@dataclass(frozen=True, slots=True)
class SyncedSet:
    """Samples that belong together.

    Attributes:
        seq: Running number.
        stamp_ns: The anchor's stamp in host time, or the predicted one.
        samples: By stream; of sound the window that ends at `stamp_ns`, of a table that is read as series the last
            readings up to the one that was matched.
        stamps_ns: What each sample stands for in host time; of a window its end.
        held: Streams that gave an old sample again.
        missing: Streams that gave none, and why: never seen, silent, late, clock step; of sound and series also gap,
            incomplete.
        emitted_ns: When the set was complete, or its deadline came.
        spread_ms: From the oldest to the newest of `stamps_ns`.
        predicted: Whether the anchor was silent and its stamp is where it should have been.
        concealed_ms: Of each window and series with holes, how much of it stands in place of what was lost.
    """

    seq: int
    stamp_ns: int
    samples: dict[str, Sample]
    stamps_ns: dict[str, int]
    held: tuple[str, ...]
    missing: dict[str, str]
    emitted_ns: int
    spread_ms: float
    predicted: bool
    concealed_ms: dict[str, float] = field(default_factory=dict)


def message_duration_ns(sample: Sample) -> int:
    """What the core wants to know of a sample's length: 0 for everything but sound."""
    payload = sample.payload
    return chunk_duration_ns(payload) if isinstance(payload, AudioChunk) and is_usable_sound(sample) else 0


def is_usable_sound(sample: Sample) -> bool:
    """Whether windows can be cut from it."""
    return isinstance(sample.payload, AudioChunk) and sample.payload.rate_hz > 0


def is_usable(sample: Sample, *, sound: bool, series: bool) -> bool:
    """Whether windows, or series, can be made of it where they are asked for."""
    return (not sound or is_usable_sound(sample)) and (not series or isinstance(sample.payload, Reading))


def synced_set(
    matched: MatchedSet,
    streams: RigStreams,
    sample_of: Callable[[int], Sample],
    histories: Mapping[str, ReadingHistory],
) -> SyncedSet:
    """Puts the samples in the place of their handles, cuts the windows of sound and joins the series.

    Args:
        matched: What the core gave.
        streams: Names and windows of its members.
        sample_of: The sample of a handle.
        histories: Of the streams that are read as series.
    """
    samples: dict[str, Sample] = {}
    stamps_ns: dict[str, int] = {}
    held: list[str] = []
    missing: dict[str, str] = {}
    concealed: dict[str, float] = {}
    for name, spec, member in zip(streams.names, streams.specs, matched.members, strict=True):
        found = _found(member, spec, sample_of, histories.get(name), matched.emitted_ns)
        if isinstance(found, str):
            missing[name] = found
            continue
        samples[name], stamps_ns[name] = found.sample, member.stamp_ns
        if found.concealed_ns:
            concealed[name] = found.concealed_ns / NS_PER_MS
        if member.presence is Presence.HELD:
            held.append(name)
    spread_ns = max(stamps_ns.values()) - min(stamps_ns.values()) if stamps_ns else 0
    return SyncedSet(
        matched.seq,
        matched.anchor_stamp_ns,
        samples,
        stamps_ns,
        tuple(held),
        missing,
        matched.emitted_ns,
        spread_ns / NS_PER_MS,
        matched.predicted,
        concealed,
    )


class _Found(NamedTuple):
    sample: Sample
    concealed_ns: int = 0


def _found(
    member: Member,
    spec: StreamSpec,
    sample_of: Callable[[int], Sample],
    history: ReadingHistory | None,
    emitted_ns: int,
) -> _Found | str:
    """The member's sample; or why it is missing."""
    if not member.present:
        return MISSING[member.presence]
    if spec.window_ns:
        window = _window(member, spec.window_ns, spec.conceal_ns, sample_of)
        return INCOMPLETE if window is None else _Found(*window)
    sample = sample_of(member.handles[0])
    if history is None:
        return _Found(_in_epoch(sample, member.epoch))
    series = history.until(sample, member.stamp_ns, member.epoch, emitted_ns)
    if isinstance(series, str):
        return series
    return _Found(replace(sample, payload=series.payload, epoch=member.epoch), series.concealed_ns)


def _window(
    member: Member, window_ns: int, conceal_ns: int, sample_of: Callable[[int], Sample]
) -> tuple[Sample, int] | None:
    """The window as one sample, stamped at its first value on the sensor's clock, and how much of it is concealed."""
    chunks = [StampedChunk(at, sample_of(h)) for at, h in zip(member.stamps_ns, member.handles, strict=True)]
    window = cut_window(chunks, member.stamp_ns, window_ns, conceal_ns)
    if window is None:
        return None
    newest_ns, newest = chunks[-1]
    begin_ns = newest.stamp_ns + (member.stamp_ns - newest_ns) - window_ns
    return replace(newest, stamp_ns=begin_ns, payload=window.payload, epoch=member.epoch), window.concealed_ns


def _in_epoch(sample: Sample, epoch: int) -> Sample:
    return sample if sample.epoch == epoch else replace(sample, epoch=epoch)
