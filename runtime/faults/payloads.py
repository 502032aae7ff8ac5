"""Faults of what was measured: values that are no numbers, nothing at all, another size, the same again and again."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np

from edge.runtime.faults.base import ChanceFault, Fault, Share
from edge.runtime.rig import MOST_TEXT_BYTES
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Pose, Reading, Series, Text, Twist

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.faults.base import Alter
    from edge.runtime.sample import Sample

_F = TypeVar("_F", np.float32, np.float64)
# Where the numbers of a payload lie, if not in `values`.
_VALUES = {PointCloud: "points", AudioChunk: "samples", Pose: "position"}
_NOT_FINITE = np.array([np.nan, np.inf, -np.inf], np.float32)


class NotFinite(ChanceFault):
    """A share of a sample's values becomes NaN or infinite.

    Bytes cannot be either, so pixels become 0, which is what a driver gives for those that were not read out: with
    `share=1` the image is black. Likewise characters become NUL.

    Attributes:
        share: Probability of each value.
    """

    order = 3
    kind: Literal["nan"] = "nan"
    share: Share = 1.0

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """A copy with such values; which ones is drawn from the sample's own random stream."""
        count = 0

        def spoil(sample: Sample) -> tuple[Sample]:
            nonlocal count
            count += 1
            random = np.random.default_rng((*words, count))
            return (replace(sample, payload=_spoiled(sample.payload, self.share, random)),)

        return spoil


class Empty(ChanceFault):
    """A sample holds nothing: no points, a black image, sound of no length, a reading without fields, no word."""

    order = 1
    kind: Literal["empty"] = "empty"

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Takes everything away."""
        return lambda sample: (replace(sample, payload=emptied(sample.payload)),)


class WrongSize(ChanceFault):
    """A sample is not of the size that the rig says.

    An image has half the width and height, a sweep no reflectance, sound half the rate, a reading a field too many,
    a text more than any rig allows, a twist an axis too many, a pose no scalar in its quaternion.
    """

    order = 2
    kind: Literal["wrong-size"] = "wrong-size"

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Makes it another size."""
        return lambda sample: (replace(sample, payload=resized(sample.payload)),)


class Frozen(Fault):
    """The first payload that it hits comes again under each new stamp and number, as from a hung frame grabber."""

    order = 0
    kind: Literal["frozen"] = "frozen"

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Replaces each payload by the first."""
        first: Payload | None = None

        def freeze(sample: Sample) -> tuple[Sample]:
            nonlocal first
            first = sample.payload if first is None else first
            return (replace(sample, payload=first),)

        return freeze


@singledispatch
def emptied(payload: Any) -> Payload:
    """A payload of the same kind that holds nothing.

    Raises:
        TypeError: It is none of the payloads.
    """
    raise TypeError(f"{type(payload).__name__} is no payload")


@emptied.register
def _(payload: Image) -> Image:
    return replace(payload, pixels=np.zeros_like(payload.pixels))


@emptied.register
def _(payload: PointCloud) -> PointCloud:
    offsets = payload.time_offset_s
    return PointCloud(payload.points[:0], None if offsets is None else offsets[:0])


@emptied.register
def _(payload: AudioChunk) -> AudioChunk:
    return replace(payload, samples=payload.samples[..., :0])


@emptied.register
def _(payload: Reading) -> Reading:
    return Reading(payload.values[:0], ())


@emptied.register
def _(payload: Series) -> Series:
    return Series(payload.values[:0], payload.fields)


@emptied.register
def _(payload: Text) -> Text:
    return Text("")


@emptied.register
def _(payload: Twist) -> Twist:
    return Twist(payload.linear[:0], payload.angular[:0])


@emptied.register
def _(payload: Pose) -> Pose:
    return Pose(payload.position[:0], payload.quaternion[:0])


@singledispatch
def resized(payload: Any) -> Payload:
    """A payload of the same kind that is not of its size.

    Raises:
        TypeError: It is none of the payloads.
    """
    raise TypeError(f"{type(payload).__name__} is no payload")


@resized.register
def _(payload: Image) -> Image:
    return replace(payload, pixels=payload.pixels[::2, ::2])


@resized.register
def _(payload: PointCloud) -> PointCloud:
    return replace(payload, points=payload.points[:, :-1])


@resized.register
def _(payload: AudioChunk) -> AudioChunk:
    return AudioChunk(payload.samples[..., ::2], max(1, payload.rate_hz // 2))


@resized.register
def _(payload: Reading) -> Reading:
    return Reading(np.append(payload.values, np.float32(0)), (*payload.fields, "unexpected"))


@resized.register
def _(payload: Series) -> Series:
    return Series(payload.values[:, :-1], payload.fields)


@resized.register
def _(payload: Text) -> Text:
    text = payload.text or " "
    return Text(text * (MOST_TEXT_BYTES // len(text) + 1))


@resized.register
def _(payload: Twist) -> Twist:
    return Twist(payload.linear, np.append(payload.angular, 0.0))


@resized.register
def _(payload: Pose) -> Pose:
    return Pose(payload.position, payload.quaternion[:3])


def _spoiled(payload: Payload, share: float, random: np.random.Generator) -> Payload:
    if isinstance(payload, Image):
        gone = random.random(payload.pixels.shape[:2]) < share
        return replace(
            payload, pixels=np.where(gone[..., None] if payload.pixels.ndim == 3 else gone, 0, payload.pixels)
        )
    if isinstance(payload, Text):
        gone = random.random(len(payload.text)) < share
        return Text("".join("\0" if lost else c for c, lost in zip(payload.text, gone, strict=True)))
    if isinstance(payload, Twist):
        return Twist(_not_finite(payload.linear, share, random), _not_finite(payload.angular, share, random))
    name, given = _VALUES.get(type(payload), "values"), cast("Any", payload)
    spoiled: Payload = replace(given, **{name: _not_finite(getattr(payload, name), share, random)})
    return spoiled


def _not_finite(values: NDArray[_F], share: float, random: np.random.Generator) -> NDArray[_F]:
    spoiled: NDArray[_F] = values.copy()
    gone = random.random(values.shape) < share
    spoiled[gone] = random.choice(_NOT_FINITE, int(gone.sum()))
    return spoiled
