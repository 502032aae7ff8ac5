"""Records a run into one MCAP file: every sample as it arrived, and every result; Foxglove opens it as it is."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import ConfigError, SampleError, first_line
from edge.runtime.mcap_layout import (
    EPOCH_KEY,
    FORMAT_VERSION,
    RECORDING,
    RESULT_SCHEMA,
    RESULT_TOPIC,
    RIG_NAME,
    SCENE_TOPIC,
    STREAM_KEY,
    TRANSFORMS_TOPIC,
    json_schema,
    topic,
)
from edge.runtime.sinks.mcap_payloads import compact_json, encode_sample, foxglove_class, playable_sound
from edge.runtime.sinks.mcap_scene import (
    encode_annotations,
    encode_calibration,
    encode_scene,
    encode_transforms,
    ready_ns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.runtime.result import FusedResult
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample

Compression = Literal["none", "lz4", "zstd"]
CHUNK_BYTES = 4 * 2**20
# Images whose stamps are remembered, for results to be drawn on the one that was fused; sources are read ahead.
_REMEMBERED = 512
_SAME_NS = NS_PER_MS
_LIMITS = {"arrival_ns": 2**64, "seq": 2**32}


class McapRecorder:
    """A `Sink` that also takes samples; the file is there when the run is complete, and nothing is otherwise.

    Equal samples and results in equal order give equal bytes. `add_sample` and `write` may be called by two threads.

    Args:
        path: The recording; it must not exist yet.
        rig: The source's sensors, which a replay will have.
        description: What the source is, for whoever finds the file.
        simulated: Whether nothing of it was measured.
        camera: The stream that detections are drawn on; the rig's only camera where it is not given.
        jpeg_quality: 1..100 stores images as JPEG: smaller, but a replay is then no longer the same. None keeps them.
        compression: Of the chunks.

    Raises:
        ConfigError: The file exists or cannot be written.
        MissingDependencyError: The extra `mcap` is not installed.
    """

    def __init__(
        self,
        path: Path,
        rig: Rig,
        *,
        description: str = "",
        simulated: bool = False,
        camera: str | None = None,
        jpeg_quality: int | None = None,
        compression: Compression = "lz4",
    ) -> None:
        check_recordable(path)
        if jpeg_quality is not None:
            require_module("cv2")
        cameras = [name for name, stream in rig.streams.items() if stream.kind == "camera"]
        self._camera = camera or (cameras[0] if len(cameras) == 1 else None)
        self._rig, self._path, self._jpeg = rig, path, jpeg_quality
        self._origin = {
            "description": description,
            "images": "raw" if jpeg_quality is None else f"jpeg {jpeg_quality}",
            "simulated": str(simulated).lower(),
            "version": FORMAT_VERSION,
        }
        self._compression, self._lock = compression, threading.Lock()
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, str, tuple[tuple[str, str], ...]], int] = {}
        self._images: deque[int] = deque(maxlen=_REMEMBERED)
        self._newest_ns: int | None = None
        self._open()

    def add_sample(self, sample: Sample) -> None:
        """Records a sample as it is, good or bad.

        Raises:
            SampleError: Its arrival or number is negative or beyond what the format holds.
            ConfigError: The disk is full.
        """
        for name, limit in _LIMITS.items():
            if not 0 <= getattr(sample, name) < limit:
                raise SampleError(
                    f"sample {sample.seq} of '{sample.stream}' has {name} {getattr(sample, name)}, which MCAP cannot "
                    f"hold (0 to {limit - 1})",
                    "record without that source, or shift its clock",
                )
        message, playable = encode_sample(sample, self._jpeg), playable_sound(sample)
        marks = {STREAM_KEY: sample.stream, EPOCH_KEY: str(sample.epoch), **dict(message.marks)}
        at = (sample.arrival_ns, max(sample.stamp_ns, 0), sample.seq)
        with self._lock:
            self._begin(sample.arrival_ns, at[1])
            self._add(topic(sample.stream, message.part), message.schema, message.data, at, marks)
            if playable is not None:
                self._add(topic(sample.stream, "sound"), "foxglove.RawAudio", playable, at)
            if sample.stream == self._camera:
                self._images.append(sample.stamp_ns)

    def write(self, result: FusedResult) -> None:
        """Records a result: whole, and as what a viewer draws over the image and in space."""
        with self._lock:
            ready = max(0, ready_ns(result, self._rig.anchor, self._newest_ns or 0))
            at = (ready, max(result.stamp_ns, 0), result.seq)
            self._begin(ready, at[1])
            self._add(RESULT_TOPIC, RESULT_SCHEMA, compact_json(result.to_json()), at)
            self._add(SCENE_TOPIC, "foxglove.SceneUpdate", encode_scene(result), at)
            if self._camera is not None:
                drawn = encode_annotations(result, self._image_of(result, ready))
                self._add(topic(self._camera, "annotations"), "foxglove.ImageAnnotations", drawn, at)

    def close(self, *, complete: bool) -> None:
        """Publishes the file where the run was complete, removes it otherwise; a second call does nothing."""
        if self._file.closed:
            return
        try:
            if complete:
                with self._guarded():
                    self._begin(0, 0)
                    self._writer.finish()
                    self._file.close()
                    self._partial.chmod(0o644)
                    self._partial.replace(self._path)
        finally:
            self._file.close()
            self._partial.unlink(missing_ok=True)

    def _open(self) -> None:
        module = require_module("mcap.writer")
        kinds = module.CompressionType
        chosen = {"none": kinds.NONE, "lz4": kinds.LZ4, "zstd": kinds.ZSTD}[self._compression]
        foxglove_class("RawImage")  # a missing package is said before the run, not in it
        with self._guarded():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            self._partial, self._file = Path(name), os.fdopen(handle, "wb")
        self._writer = module.Writer(self._file, chunk_size=CHUNK_BYTES, compression=chosen)
        self._writer.start(profile="", library="edge-fusion")

    def _guarded(self) -> _WriteErrors:
        return _WriteErrors(self._path)

    def _begin(self, arrival_ns: int, stamp_ns: int) -> None:
        """Before the first message: what the recording is, and what a viewer needs to place the sensors."""
        if self._newest_ns is not None:
            self._newest_ns = max(self._newest_ns, arrival_ns)
            return
        self._newest_ns = arrival_ns
        with self._guarded():
            self._writer.add_metadata(RECORDING, self._origin)
            rig = yaml.safe_dump(self._rig.model_dump(mode="json", by_alias=True), sort_keys=False).encode()
            self._writer.add_attachment(0, 0, RIG_NAME, "application/yaml", rig)
        at = (arrival_ns, stamp_ns, 0)
        self._add(TRANSFORMS_TOPIC, "foxglove.FrameTransforms", encode_transforms(self._rig, stamp_ns), at)
        for name, stream in self._rig.streams.items():
            if stream.intrinsics is not None:
                lens = encode_calibration(name, stream.intrinsics, stamp_ns)
                self._add(topic(name, "calibration"), "foxglove.CameraCalibration", lens, at)

    def _add(
        self, on: str, schema: str, data: bytes, at: tuple[int, int, int], marks: Mapping[str, str] | None = None
    ) -> None:
        key = (on, schema, tuple(sorted((marks or {}).items())))
        with self._guarded():
            if key not in self._channels:
                encoding = "protobuf" if schema.startswith("foxglove.") else "json"
                schema_id = self._schema(schema)
                self._channels[key] = self._writer.register_channel(on, encoding, schema_id, dict(key[2]))
            log_time, publish_time, sequence = at
            self._writer.add_message(self._channels[key], log_time, data, publish_time, sequence)

    def _schema(self, name: str) -> int:
        if name not in self._schemas:
            package, _, short = name.partition(".")
            if package == "foxglove":
                described = self._describe(foxglove_class(short))
                self._schemas[name] = self._writer.register_schema(name, "protobuf", described.SerializeToString())
            else:
                self._schemas[name] = self._writer.register_schema(name, "jsonschema", json_schema(name))
        return self._schemas[name]

    @cached_property
    def _describe(self) -> Any:
        return require_module("mcap_protobuf.schema").build_file_descriptor_set

    def _image_of(self, result: FusedResult, ready: int) -> int:
        """Stamp of the image that was fused, as recorded; the result's where there was none."""
        assert self._camera is not None
        if self._camera not in result.ages_ms or not self._images:
            return result.stamp_ns
        offset_ns = round(self._rig.stream(self._camera).latency_offset_ms * NS_PER_MS)
        fused_ns = ready - round(result.ages_ms[self._camera] * NS_PER_MS) - offset_ns
        nearest = min(self._images, key=lambda stamp_ns: abs(stamp_ns - fused_ns))
        return nearest if abs(nearest - fused_ns) <= _SAME_NS else result.stamp_ns


class _WriteErrors:
    """Turns the system's errors of writing into ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise ConfigError(
                f"the recording {self._path} cannot be written ({first_line(error)})",
                "free some space, or choose another file",
            ) from error


def check_recordable(path: Path) -> None:
    """Refuses to replace a recording, which may be all that is left of a drive.

    Raises:
        ConfigError: `path` exists.
    """
    if path.exists():
        raise ConfigError(f"{path} exists already", "choose another file for the recording, or remove it first")
