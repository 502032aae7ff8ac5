"""What `edge run` is told to run on: sources, topics and rig of a recording, faults; where it records and is shown."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from edge.fused_run import Recording, ViewChoice, recorded_streams
from edge.runtime.errors import ConfigError, SourceError
from edge.runtime.faults import FaultySource, parse_fault
from edge.runtime.model_io import LogMelInput
from edge.runtime.rig import load_rig
from edge.runtime.sinks.mcap_recorder import check_recordable
from edge.runtime.sinks.rerun_view.output import check_viewable
from edge.runtime.sources.grammar import open_sources
from edge.runtime.sources.manifest_source import manifest_options
from edge.runtime.sources.mcap_source import RecordingOptions

if TYPE_CHECKING:
    from pathlib import Path

    from edge.runtime.bundle import Bundle
    from edge.runtime.sources.base import Source


def open_source(specs: list[str], bundle: Bundle, duration: float | None, recording: RecordingOptions) -> Source:
    """Opens the sources and refuses a sound that the model does not listen to.

    Raises:
        SourceError: A source is unknown, unreadable, or no stream of the model.
    """
    heard = {item.stream: item.rate_hz for item in bundle.model_io.inputs if isinstance(item, LogMelInput)}
    source = open_sources(
        specs,
        audio_rate_hz=next(iter(heard.values()), None),
        duration_s=duration,
        recording=recording,
        rows=manifest_options(bundle, specs),
    )
    recorded = recorded_streams(source)
    for name, stream in source.rig.streams.items():
        if name not in recorded and stream.kind == "audio" and name not in heard:
            near = get_close_matches(name, heard, n=1) or list(heard)
            remedy = f"name it {near[0]}=FILE" if near else "leave that source out"
            raise SourceError(f"the bundle's model takes no sound from a stream '{name}'", remedy)
    return source


def recording_options(specs: list[str], topics: list[str], rig: Path | None, bundle: Bundle) -> RecordingOptions:
    """What the command line and the bundle say of an MCAP file.

    Raises:
        ConfigError: A mapping is malformed, or there is no MCAP file that it could be of.
        RigError: The rig is not valid.
    """
    if (topics or rig) and not any(spec.startswith("mcap:") for spec in specs):
        raise ConfigError("--map and --rig are for MCAP recordings", "add --source mcap:FILE, or leave them out")
    mapped: dict[str, str] = {}
    for word in topics:
        stream, equals, topic = (part.strip() for part in word.partition("="))
        if not (stream and equals and topic) or stream in mapped:
            raise ConfigError(
                f"--map {word} is not one topic of one stream", "write --map STREAM=/topic, once a stream"
            )
        mapped[stream] = topic
    name = f"{rig}, as told" if rig else f"that of the bundle {bundle.manifest.name}"
    given = load_rig(rig) if rig else bundle.rig
    return RecordingOptions(mapped, given, name, bundle.model_io.modalities, rig is not None)


def with_faults(source: Source, texts: list[str], seed: int) -> Source:
    """The source with the faults that were asked for.

    Raises:
        FaultError: A fault is malformed, or of a stream that the source does not have.
    """
    return FaultySource(source, [parse_fault(text) for text in texts], seed) if texts else source


def open_recording(path: Path | None, jpeg_quality: int | None) -> Recording | None:
    """Where to record to; refused before the run where there is something already.

    Raises:
        ConfigError: The file exists, or a quality is given without one.
    """
    if path is None:
        if jpeg_quality is not None:
            raise ConfigError("--record-jpeg is given without --record", "name the file with --record FILE.mcap")
        return None
    check_recordable(path)
    return Recording(path, jpeg_quality)


def open_view(window: bool, path: Path | None) -> ViewChoice | None:
    """How the run is shown, if it is; refused before the run where that cannot be.

    Raises:
        ConfigError: The file exists or is no `.rrd`, or there is no display.
        MissingDependencyError: The extra `viewer` is not installed.
    """
    if not window and path is None:
        return None
    check_viewable(window=window, path=path)
    return ViewChoice(window, path)
