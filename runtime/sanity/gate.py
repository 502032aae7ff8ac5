"""Samples that no model should see: empty, of another size than the rig says, not finite, frozen, silent or clipped.

They count as missing and are counted by reason. The limits are each stream's in the rig (`SanityLimits`).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge.runtime import _core
from edge.runtime.preprocess.motion import motion_refusal
from edge.runtime.rig import MOTION_KINDS
from edge.runtime.sample import AudioChunk, Image, PointCloud, Reading, Text
from edge.runtime.sanity.content_watch import RepeatWatch, SoundWatch, StuckWatch

if TYPE_CHECKING:
    from edge.runtime.rig import Rig, Stream
    from edge.runtime.sample import Sample

REASONS = ("wrong_kind", "wrong_size", "empty", "not_finite", "unreadable", "frozen", "silent", "clipped", "stuck")
# What no writer means: the control characters but tab, line feed and carriage return, and halves of surrogate pairs.
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class SanityGate:
    """Looks at every sample of a run before it is matched.

    Feed it the samples of a stream in the order of their arrival: `frozen`, `silent`, `clipped` and `stuck` rest on
    those before.

    Args:
        rig: Kinds, sizes and limits of the streams.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._checks = {name: _check_of(stream) for name, stream in rig.streams.items()}

    def refusal(self, sample: Sample) -> str:
        """Why a sample cannot be used, as a short reason for counting; empty where it can.

        `wrong_kind`: no payload of the stream's kind. `wrong_size`: another resolution, rate or layout than the rig's,
        or a longer text. `empty`: a black image, a sweep without a return, no sound, no word. `not_finite`: sound or
        values that are no numbers. `unreadable`: text with control characters, or that has no UTF-8. `frozen`: the
        same content under new stamps. `silent`, `clipped`: sound without, or beyond, any level. `stuck`: values or
        words that never change.

        Raises:
            RigError: The rig has no such stream.
        """
        check = self._checks.get(sample.stream)
        if check is None:
            self._rig.stream(sample.stream)
            raise AssertionError("a stream of the rig has a check")
        return check.refusal(sample)


class _Check(Protocol):
    def refusal(self, sample: Sample) -> str: ...


def _check_of(stream: Stream) -> _Check:
    if stream.kind in MOTION_KINDS:
        return _MotionCheck(stream)
    kinds: dict[str, type[_CameraCheck | _LidarCheck | _AudioCheck | _TableCheck | _TextCheck]] = {
        "camera": _CameraCheck,
        "lidar": _LidarCheck,
        "audio": _AudioCheck,
        "table": _TableCheck,
        "text": _TextCheck,
    }
    return kinds[stream.kind](stream)


class _MotionCheck:
    def __init__(self, stream: Stream) -> None:
        self._kind = stream.kind

    def refusal(self, sample: Sample) -> str:
        return motion_refusal(sample.payload, self._kind)


class _CameraCheck:
    def __init__(self, stream: Stream) -> None:
        assert stream.intrinsics is not None  # the rig refuses cameras without
        self._size = (stream.intrinsics.height, stream.intrinsics.width)
        self._repeats = RepeatWatch(stream.sanity.frozen_after)

    def refusal(self, sample: Sample) -> str:
        image = sample.payload
        if not isinstance(image, Image):
            return "wrong_kind"
        pixels = image.pixels
        channels = () if image.format == "mono8" else (3,)
        if pixels.dtype != np.uint8 or pixels.shape != (*self._size, *channels):
            return "wrong_size"
        glance, look = _core.image_glance(pixels), partial(_core.image_fingerprint, pixels)
        if glance[1] and look()[1]:
            return "empty"
        return "frozen" if self._repeats.is_frozen(sample.stamp_ns, glance, look) else ""


class _LidarCheck:
    def __init__(self, stream: Stream) -> None:
        self._max_points = stream.max_points
        self._repeats = RepeatWatch(stream.sanity.frozen_after)

    def refusal(self, sample: Sample) -> str:
        cloud = sample.payload
        if not isinstance(cloud, PointCloud):
            return "wrong_kind"
        if cloud.points.dtype != np.float32 or cloud.points.ndim != 2 or cloud.points.shape[1] != 4:
            return "wrong_size"
        if len(cloud.points) > self._max_points:
            return "wrong_size"
        points = np.ascontiguousarray(cloud.points)
        # Single returns that are not finite are usual, and the projection skips them.
        if not _core.cloud_has_returns(points):
            return "empty"
        glance, look = _core.cloud_glance(points), partial(_core.cloud_fingerprint, points)
        return "frozen" if self._repeats.is_frozen(sample.stamp_ns, glance, look) else ""


class _AudioCheck:
    def __init__(self, stream: Stream) -> None:
        assert stream.sample_rate_hz is not None  # the rig refuses sound without
        self._rate_hz, self._channels = stream.sample_rate_hz, stream.channels
        self._full_scale = stream.sanity.full_scale
        self._watch = SoundWatch(stream.sanity, stream.sample_rate_hz)
        self._repeats = RepeatWatch(stream.sanity.frozen_after)

    def refusal(self, sample: Sample) -> str:
        chunk = sample.payload
        if not isinstance(chunk, AudioChunk):
            return "wrong_kind"
        samples = chunk.samples
        if chunk.rate_hz != self._rate_hz or samples.dtype != np.float32 or samples.ndim != 2:
            return "wrong_size"
        if samples.shape[0] > self._channels:
            return "wrong_size"
        if not samples.size:
            return "empty"
        samples = np.ascontiguousarray(samples)
        full_scale, flat, finite, first = _core.sound_levels(samples, self._full_scale)
        if not finite:
            return "not_finite"
        level = first if flat else None
        reason = self._watch.refusal(samples.shape[1], samples.size, full_scale, level)
        glance, look = _core.sound_glance(samples), partial(_core.sound_fingerprint, samples)
        is_frozen = self._repeats.is_frozen(sample.stamp_ns, glance, look)
        # One value throughout is silence, which is `silent` when it lasts; it always repeats itself.
        return reason or ("frozen" if is_frozen and not flat else "")


class _TableCheck:
    def __init__(self, stream: Stream) -> None:
        self._fields = len(stream.fields)
        self._watch = StuckWatch(stream.sanity.stuck_after_s)

    def refusal(self, sample: Sample) -> str:
        reading = sample.payload
        if not isinstance(reading, Reading):
            return "wrong_kind"
        values = reading.values
        if not values.size:
            return "empty"
        if values.ndim != 1 or (self._fields and len(values) != self._fields):
            return "wrong_size"
        if not np.isfinite(values).all():
            return "not_finite"
        return "stuck" if self._watch.is_stuck(values.tobytes(), sample.arrival_ns) else ""


class _TextCheck:
    def __init__(self, stream: Stream) -> None:
        self._most_bytes = stream.max_text_bytes
        self._watch = StuckWatch(stream.sanity.stuck_after_s)

    def refusal(self, sample: Sample) -> str:
        payload = sample.payload
        if not isinstance(payload, Text) or not isinstance(payload.text, str):
            return "wrong_kind"
        text = payload.text
        if len(text) > self._most_bytes:  # no character has less than a byte
            return "wrong_size"
        if _UNREADABLE.search(text):
            return "unreadable"
        if not text.strip():
            return "empty"
        content = text.encode()
        if len(content) > self._most_bytes:
            return "wrong_size"
        return "stuck" if self._watch.is_stuck(content, sample.arrival_ns) else ""
