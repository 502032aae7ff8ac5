"""MCAP recordings as a source: our own byte for byte, Foxglove's schemas, and ROS 2 bags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import SampleError, SourceError, first_line
from edge.runtime.mcap_layout import EPOCH_KEY, FORMAT_VERSION, RECORDING, RIG_NAME
from edge.runtime.rig import TO_STAMP, Rig
from edge.runtime.sample import AudioChunk, Sample
from edge.runtime.sources.mcap_chunks import AGAIN
from edge.runtime.sources.mcap_file import McapFile
from edge.runtime.sources.mcap_foxglove import FOXGLOVE_KINDS, foxglove_decoder, own_decoder
from edge.runtime.sources.mcap_lenses import lens_notes
from edge.runtime.sources.mcap_ros2 import AUDIO_INFO, read_sound_format, ros2_decoder, ros2_name
from edge.runtime.sources.mcap_topics import check_mapped, match_topics, own_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge.runtime.sample import Payload
    from edge.runtime.sources.mcap_file import Channel, Message
    from edge.runtime.sources.mcap_ros2 import SoundFormat

# A declared rate further from the recorded one than this is noted.
RATE_TOLERANCE = 0.2
_FEW = 5


@dataclass(frozen=True)
class RecordingOptions:
    """What a recording does not tell by itself.

    Attributes:
        topics: The topic of a stream, where it was chosen.
        rig: The sensors of a recording that carries no rig.
        rig_name: Where that is from, for the report.
        wanted: Streams that are looked for in a foreign recording; all of the rig's where it is None.
        rig_is_told: Whether the user named `rig`, which then also replaces a recorded one.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    rig: Rig | None = None
    rig_name: str = "the given rig"
    wanted: tuple[str, ...] | None = None
    rig_is_told: bool = False


@dataclass
class _Feed:
    """One channel, the stream that it feeds, and how."""

    stream: str
    channel: Channel
    epoch: int | None  # None where the recording is not ours
    decode: Callable[[memoryview], tuple[int | None, Payload]]


class McapSource:
    """A recording, replayed in the order of arrival; a `Source`.

    Of our own recordings a replay gives every sample as it was, and the rig is theirs. Of others the log time is taken
    for the arrival, the header's stamp for the stamp, and samples are numbered by topic.

    Args:
        path: The MCAP file.
        options: Topics and rig of a foreign recording.

    Raises:
        SourceError: The file is broken, its rig is, a topic is absent, unsupported or not unique, or nothing fits.
        MissingDependencyError: The extra `mcap` is not installed.
    """

    def __init__(self, path: Path, options: RecordingOptions | None = None) -> None:
        options = options or RecordingOptions()
        self._file, self._path = McapFile(path), path
        self._origin = self._file.metadata(RECORDING)
        self._notes: list[str] = []
        if self._origin is not None and "jpeg" in self._origin.get("images", ""):
            self._notes.append("images were recorded as JPEG, so results are not those of the recorded run")
        self._rig = self._choose_rig(options)
        channels = self._choose_channels(options)
        self._feeds = {c.id: f for name, found in channels.items() for c in found for f in [self._feed(name, c)]}
        if self._origin is None:
            self._rig = self._fitted(self._rig, tuple(channels))
        self._note_rates(channels)

    @property
    def description(self) -> str:
        """One line for the report."""
        seconds = (self.span_ns[1] - self.span_ns[0]) / NS_PER_S
        if self._origin is not None:
            return f"{self._path.name} ({seconds:.1f} s), recorded from: {self._origin.get('description', '')}"
        topics = dict.fromkeys(f"{feed.stream} from {feed.channel.topic}" for feed in self._feeds.values())
        return f"{self._path.name} ({seconds:.1f} s): {', '.join(topics)}"

    @property
    def rig(self) -> Rig:
        """The recorded sensors, or those that were given for them."""
        return self._rig

    @property
    def simulated(self) -> bool:
        """Whether it is a recording of a simulation."""
        return self._origin is not None and self._origin.get("simulated") == "true"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about the recording, for the report; some of it is known only once samples were read."""
        return tuple(f"{self._path.name}: {note}." for note in dict.fromkeys(self._notes))

    @property
    def span_ns(self) -> tuple[int, int]:
        """The first and the last log time."""
        return self._file.start_ns or 0, self._file.end_ns or 0

    def samples(self) -> Iterator[Sample]:
        """All samples by arrival; chunks are unpacked as they are needed.

        Raises:
            SourceError: A chunk is broken or a message malformed; the message names it.
        """
        counts: dict[str, int] = {}
        for message in self._file.messages(self._feeds):
            feed = self._feeds[message.channel_id]
            stamp_ns, payload = self._decoded(feed, message)
            if stamp_ns is None:
                stamp_ns = message.log_time - _length_ns(payload)
            if feed.epoch is not None:
                seq, epoch = message.sequence, feed.epoch
            else:
                seq, epoch = counts.get(feed.stream, 0), 0
                counts[feed.stream] = seq + 1
            yield Sample(feed.stream, stamp_ns, message.log_time, seq, payload, epoch)

    def _decoded(self, feed: _Feed, message: Message) -> tuple[int | None, Payload]:
        try:
            return feed.decode(message.data)
        except SampleError as error:
            raise SourceError(
                f"{self._path}: message {message.sequence} on {feed.channel.topic} cannot be used: {error.problem}",
                error.remedy,
            ) from error

    def _choose_rig(self, options: RecordingOptions) -> Rig:
        if self._origin is not None and not options.rig_is_told:
            return self._recorded_rig(self._origin)
        if options.rig is None:
            raise SourceError(f"{self._path} carries no rig of ours", "say where the sensors sit with --rig rig.yaml")
        self._notes.append(f"the rig is {options.rig_name}")
        return options.rig

    def _recorded_rig(self, origin: Mapping[str, str]) -> Rig:
        if origin.get("version") != FORMAT_VERSION:
            raise SourceError(
                f"{self._path} is a recording of version {origin.get('version')}, this edge reads {FORMAT_VERSION}",
                "replay it with the version of edge that recorded it",
            )
        content = self._file.attachment(RIG_NAME)
        if content is None:
            raise SourceError(f"{self._path} has lost its attachment {RIG_NAME}", AGAIN)
        try:
            return Rig.model_validate(yaml.safe_load(content))
        except (yaml.YAMLError, ValidationError, ValueError) as error:
            raise SourceError(f"the rig in {self._path} is not valid ({first_line(error)})", AGAIN) from error

    def _choose_channels(self, options: RecordingOptions) -> dict[str, list[Channel]]:
        channels = list(self._file.channels.values())
        if self._origin is not None:
            found = {name: f for name, f in own_streams(channels).items() if name in self._rig.streams}
            if not options.topics:
                return found
            check_mapped(options.topics, self._rig.streams)
            kinds = {name: self._rig.stream(name).kind for name in options.topics}
            return {**found, **match_topics(self._path, channels, kinds, options.topics)}
        motion = {self._rig.deskew.motion} if self._rig.deskew else set()
        wanted = self._rig.streams if options.wanted is None else {*options.wanted, *motion}
        kinds = {name: stream.kind for name, stream in self._rig.streams.items() if name in wanted}
        matched = match_topics(self._path, channels, kinds, options.topics)
        if not matched:
            topics = ", ".join(f"{c.topic} ({c.type or 'no type'})" for c in channels) or "no topic at all"
            raise SourceError(
                f"{self._path} has nothing for {', '.join(kinds) or 'any stream'}: it has {topics}",
                "record an image, point cloud or sound topic that is named in the documentation",
            )
        for name, chosen in matched.items():
            told = ", as told" if name in options.topics else ", the only one that fits"
            self._notes.append(f"{name} is read from {chosen[0].topic} ({chosen[0].type}){told}")
        self._notes += lens_notes(self._file, matched, self._rig)
        return matched

    def _fitted(self, rig: Rig, streams: Sequence[str]) -> Rig:
        """The rig of what the recording has; another anchor where it has not the rig's."""
        anchor = rig.anchor
        if anchor not in streams:
            seeing = [name for name in streams if rig.streams[name].kind in ("lidar", "camera")]
            anchor = (seeing or list(streams))[0]
            self._notes.append(f"it has no {rig.anchor}, so {anchor} sets the pace")
        kept = {name: rig.streams[name] for name in streams}
        deskew = rig.deskew
        if deskew is not None and not {deskew.motion, deskew.to} <= {*streams, TO_STAMP}:
            deskew = None
            self._notes.append("it does not have what the rig compensates sweeps by, so they are taken as they come")
        return rig.model_copy(update={"anchor": anchor, "streams": kept, "deskew": deskew})

    def _feed(self, stream: str, channel: Channel) -> _Feed:
        try:
            if self._origin is not None and EPOCH_KEY in channel.metadata:
                return _Feed(stream, channel, int(channel.metadata[EPOCH_KEY]), own_decoder(channel))
            kind = self._rig.streams[stream].kind
            if channel.type in FOXGLOVE_KINDS:
                return _Feed(stream, channel, None, foxglove_decoder(channel, self._notes))
            return _Feed(stream, channel, None, ros2_decoder(channel, kind, self._notes, self._sound_format))
        except (SampleError, ValueError) as error:
            problem, remedy = (error.problem, error.remedy) if isinstance(error, SampleError) else (str(error), AGAIN)
            raise SourceError(f"{self._path}: {channel.topic} cannot be read: {problem}", remedy) from error

    def _sound_format(self) -> SoundFormat | None:
        infos = [c for c in self._file.channels.values() if ros2_name(c.type) == AUDIO_INFO]
        if len(infos) != 1:
            return None
        first = next(self._file.messages([infos[0].id]), None)
        return None if first is None else read_sound_format(infos[0], first.data)

    def _note_rates(self, channels: Mapping[str, Sequence[Channel]]) -> None:
        seconds = (self.span_ns[1] - self.span_ns[0]) / NS_PER_S
        for name, found in channels.items():
            count = sum(self._file.counts.get(c.id, 0) for c in found)
            declared = self._rig.streams[name].rate_hz
            if count < _FEW or seconds <= 0:
                continue
            recorded = (count - 1) / seconds
            if abs(recorded / declared - 1) > RATE_TOLERANCE:
                self._notes.append(f"{name} comes at {recorded:.2f} Hz, the rig says {declared:.2f} Hz")


def _length_ns(payload: Payload) -> int:
    """How long a payload without a stamp took until it was logged."""
    if not isinstance(payload, AudioChunk):
        return 0
    return int(payload.samples.shape[1]) * NS_PER_S // payload.rate_hz
