"""The words that name sources on the command line: `sim:seed=3`, `kitti:DIR`, `manifest:FILE`, `audio=street.wav`."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import SourceError
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sources.audio_file import AudioFileSource
from edge.runtime.sources.kitti import KittiSource
from edge.runtime.sources.manifest_source import ManifestOptions, ManifestSource
from edge.runtime.sources.mcap_source import McapSource, RecordingOptions
from edge.runtime.sources.merge import MergedSource
from edge.runtime.sources.simulator import SimulatorSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.runtime.sources.base import Source

LEAD_IN_S = 2.0  # sound beside a drive starts this much earlier, so that the first windows are full
KINDS = ("sim", "kitti", "mcap", "manifest")
FORMS = (
    "sim, sim:seed=3,duration=10,odometry=1, kitti:DIR, mcap:FILE, manifest:FILE.csv,split=test,limit=200, "
    "STREAM=FILE.wav"
)
SOUND_SUFFIXES = (".wav", ".flac", ".ogg")
_SIM_OPTIONS = {"seed": int, "duration": float, "odometry": int}
_ROW_OPTIONS = ("split", "limit")
_STREAM = re.compile(r"([^:=]*)=(.*)", re.DOTALL)  # an equals sign before any colon
_DEFAULT_SIM_S = 20.0


class _SoundSpec(NamedTuple):
    stream: str
    path: Path


def open_sources(
    specs: Sequence[str],
    *,
    audio_rate_hz: int | None = None,
    duration_s: float | None = None,
    recording: RecordingOptions | None = None,
    rows: ManifestOptions | None = None,
) -> Source:
    """Opens what the words name, merged where they are several.

    A sound file beside a recording is on the recording's clock: it starts 2 s before its first stamp and is looped to
    its end.

    Args:
        specs: Words as in `FORMS`.
        audio_rate_hz: The rate that sound files must have, or None for any.
        duration_s: Length of a simulated drive that names none, and of sound that is beside no recording. Recordings
            are given whole.
        recording: Topics and rig of an MCAP file.
        rows: Rig and model of a manifest.

    Raises:
        SourceError: A word is unknown or malformed, or a recording is.
        ConfigError: The simulator refuses its options, or the columns of a manifest do not fit the model.
        DataError: A row of a manifest is bad.
    """
    parsed = [_parse(spec, duration_s, recording, rows) for spec in specs]
    span = next((source.span_ns for source in parsed if isinstance(source, (KittiSource, McapSource))), None)
    sources = [
        _sound(item, audio_rate_hz, span, duration_s) if isinstance(item, _SoundSpec) else item for item in parsed
    ]
    return sources[0] if len(sources) == 1 else MergedSource(sources)


def _parse(
    spec: str, duration_s: float | None, recording: RecordingOptions | None, rows: ManifestOptions | None
) -> KittiSource | McapSource | SimulatorSource | ManifestSource | _SoundSpec:
    stream = _STREAM.fullmatch(spec)
    if stream:
        return _sound_spec(spec, stream[1].strip(), stream[2].strip())
    kind, _, rest = spec.partition(":")
    if kind == "sim":
        return _simulator(spec, rest, duration_s)
    if kind not in KINDS:
        raise SourceError(f"source '{spec}' is of unknown kind '{kind}'{_nearest(kind, KINDS)}", f"use one of: {FORMS}")
    if not rest:
        raise SourceError(f"source '{spec}' names no {'folder' if kind == 'kitti' else 'file'}", f"use one of: {FORMS}")
    if kind == "kitti":
        return KittiSource(Path(rest).expanduser())
    return _manifest(spec, rest, rows) if kind == "manifest" else McapSource(Path(rest).expanduser(), recording)


def _manifest(spec: str, rest: str, options: ManifestOptions | None) -> ManifestSource:
    if options is None:
        raise SourceError(f"source '{spec}' needs a bundle, whose model says what its columns are", "use edge run")
    name, *words = rest.split(",")
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = (part.strip() for part in word.partition("="))
        if key not in _ROW_OPTIONS or not equals or not value:
            raise SourceError(
                f"source '{spec}': '{word}' is no option of a manifest{_nearest(key, _ROW_OPTIONS)}",
                "write manifest:FILE.csv,split=test,limit=200",
            )
        given[key] = value
    limit = given.get("limit")
    if limit is not None and not (limit.isdecimal() and int(limit) > 0):
        raise SourceError(f"source '{spec}': limit '{limit}' is no number of samples", "write limit=200")
    return ManifestSource(Path(name).expanduser(), options, given.get("split"), None if limit is None else int(limit))


def _sound_spec(spec: str, stream: str, file: str) -> _SoundSpec:
    if not stream or not file:
        raise SourceError(f"source '{spec}' lacks a stream's or a file's name", "write STREAM=FILE.wav")
    if Path(file).suffix.lower() not in SOUND_SUFFIXES:
        raise SourceError(
            f"source '{spec}': '{file}' is no sound file ({', '.join(SOUND_SUFFIXES)})", f"use one of: {FORMS}"
        )
    return _SoundSpec(stream, Path(file).expanduser())


def _sound(
    spec: _SoundSpec, rate_hz: int | None, span_ns: tuple[int, int] | None, duration_s: float | None
) -> AudioFileSource:
    if span_ns is None:
        return AudioFileSource(spec.path, spec.stream, rate_hz, 0, duration_s)
    start_ns = span_ns[0] - round(LEAD_IN_S * NS_PER_S)
    return AudioFileSource(spec.path, spec.stream, rate_hz, start_ns, (span_ns[1] - start_ns) / NS_PER_S)


def _simulator(spec: str, rest: str, duration_s: float | None) -> SimulatorSource:
    options: dict[str, float] = {"seed": 0, "duration": _DEFAULT_SIM_S if duration_s is None else duration_s}
    for option in filter(None, rest.split(",")):
        key, equals, value = (part.strip() for part in option.partition("="))
        if key not in _SIM_OPTIONS:
            raise SourceError(
                f"source '{spec}': the simulator has no option '{key}'{_nearest(key, _SIM_OPTIONS)}",
                f"use {', '.join(_SIM_OPTIONS)}",
            )
        try:
            options[key] = _SIM_OPTIONS[key](value)
        except ValueError as error:
            what = f"'{value}' is no number" if equals else "has no value"
            raise SourceError(f"source '{spec}': {key} {what}", f"write sim:{key}=3") from error
    rig = street_rig(odometry=bool(options.get("odometry", 0)))
    return SimulatorSource(seed=int(options["seed"]), duration_s=options["duration"], rig=rig)


def _nearest(word: str, known: Sequence[str] | dict[str, type]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
