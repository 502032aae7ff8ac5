"""Which topic of a recording feeds which stream: as told, or where only one can."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from edge.runtime.errors import SourceError
from edge.runtime.mcap_layout import STREAM_KEY
from edge.runtime.sources.mcap_foxglove import FOXGLOVE_KINDS
from edge.runtime.sources.mcap_ros2 import ROS2_KINDS, ros2_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from edge.runtime.sources.mcap_file import Channel


def kinds_of(channel: Channel) -> tuple[str, ...]:
    """The kinds of stream that a foreign channel can feed."""
    if channel.type in FOXGLOVE_KINDS:
        return (FOXGLOVE_KINDS[channel.type],)
    return ROS2_KINDS.get(ros2_name(channel.type), ())


def own_streams(channels: Iterable[Channel]) -> dict[str, list[Channel]]:
    """Channels of our own recordings that hold samples, by stream."""
    found: dict[str, list[Channel]] = {}
    for channel in channels:
        if STREAM_KEY in channel.metadata:
            found.setdefault(channel.metadata[STREAM_KEY], []).append(channel)
    return found


def check_mapped(told: Iterable[str], streams: Iterable[str]) -> None:
    """Refuses a topic for a stream that nobody reads.

    Raises:
        SourceError: A stream of `told` is not among `streams`.
    """
    known = sorted(streams)
    for name in sorted(set(told) - set(known)):
        raise SourceError(
            f"--map names a stream '{name}' that is not wanted here (streams are {', '.join(known)})",
            "map one of those",
        )


def match_topics(
    path: Path, channels: Iterable[Channel], kinds: Mapping[str, str], told: Mapping[str, str]
) -> dict[str, list[Channel]]:
    """The channels of each stream; several only where a writer opened its topic several times.

    Args:
        path: The file, for messages.
        channels: All of the recording.
        kinds: The kind of each stream that is wanted.
        told: Topics that the caller chose.

    Raises:
        SourceError: A told topic is absent, holds two types or one of another kind, or the choice is not unique.
    """
    topics: dict[str, list[Channel]] = {}
    for channel in channels:
        topics.setdefault(channel.topic, []).append(channel)
    check_mapped(told, kinds)
    chosen = {stream: _told(path, topics, stream, kinds[stream], topic) for stream, topic in told.items()}
    free = {topic: found for topic, found in topics.items() if topic not in told.values()}
    for stream, kind in kinds.items():
        if stream not in chosen:
            topic = _only(path, free, stream, kind, [s for s, k in kinds.items() if k == kind and s not in told])
            if topic is not None:
                chosen[stream] = free[topic]
    for found in chosen.values():
        _check_one_type(path, found)
    return {stream: chosen[stream] for stream in kinds if stream in chosen}


def _told(path: Path, topics: Mapping[str, list[Channel]], stream: str, kind: str, topic: str) -> list[Channel]:
    if topic not in topics:
        near = difflib.get_close_matches(topic, list(topics), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise SourceError(f"{path} has no topic {topic}{hint}", f"map {stream} to one of: {_listed(topics)}")
    for channel in topics[topic]:
        if kind not in kinds_of(channel) and STREAM_KEY not in channel.metadata:
            fitting = {name: found for name, found in topics.items() if any(kind in kinds_of(c) for c in found)}
            raise SourceError(
                f"{path}: {topic} is {channel.type or 'of no type'}, which no {kind} stream is made of",
                f"map {stream} to one of: {_listed(fitting)}",
            )
    return topics[topic]


def _only(path: Path, topics: Mapping[str, list[Channel]], stream: str, kind: str, rivals: list[str]) -> str | None:
    fitting = {topic: found for topic, found in topics.items() if any(kind in kinds_of(c) for c in found)}
    if not fitting:
        return None
    if len(fitting) > 1 or len(rivals) > 1:
        raise SourceError(
            f"{path}: it is not clear which topic is {stream}: {_listed(fitting)}",
            f"choose with --map {stream}=TOPIC",
        )
    return next(iter(fitting))


def _check_one_type(path: Path, channels: list[Channel]) -> None:
    types = {(c.type, c.encoding) for c in channels if STREAM_KEY not in c.metadata}
    if len(types) > 1:
        named = " and ".join(sorted(t or "none" for t, _ in types))
        raise SourceError(
            f"{path}: {channels[0].topic} holds two types: {named}",
            "record each type on a topic of its own",
        )


def _listed(topics: Mapping[str, list[Channel]]) -> str:
    return ", ".join(f"{topic} ({found[0].type or 'no type'})" for topic, found in sorted(topics.items())) or "none"
