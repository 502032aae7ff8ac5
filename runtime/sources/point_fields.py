"""Point clouds packed in bytes, as ROS's PointCloud2 and Foxglove's PointCloud describe them.

Reflectance is brought to 0..1 and each point's time to seconds after the cloud's stamp. Drivers name the time field
by its meaning: `t` is nanoseconds after the stamp (Ouster), `time` seconds after it (Velodyne), `timestamp` absolute
seconds (Hesai, Robosense), in float64 beyond 1e12 nanoseconds (Livox), or, as Velodyne's packets have it, counted from
the top of the hour, which it wraps at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import SampleError
from edge.runtime.sample import PointCloud

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

HOUR_S = 3600.0
# Times further than this from the stamp are on another clock; no sweep takes so long.
FARTHEST_S = 10.0
_NANOSECONDS = 1e14  # absolute seconds stay below this for three million years, nanoseconds are above it since 1970
_REFLECTANCES = ("reflectance", "reflectivity", "intensity", "i")
_CALIBRATED = ("reflectance", "reflectivity")  # 0..255 whatever the width of their integers
_TIMES = ("t", "time", "timestamp", "offset_time")
_SENT = "the message is malformed: record it again, or leave the topic out"


class PointField(NamedTuple):
    """One value of a point: where it lies in the point's bytes, its NumPy type without byte order, and how many."""

    offset: int
    type: str
    repeated: int = 1


@dataclass(frozen=True)
class PointLayout:
    """How points lie in the data.

    Attributes:
        fields: By name.
        step: Bytes from one point to the next.
        width: Points a row.
        height: Rows.
        row_step: Bytes from one row to the next.
        big_endian: Byte order of the values.
    """

    fields: Mapping[str, PointField]
    step: int
    width: int
    height: int = 1
    row_step: int = 0
    big_endian: bool = False

    def view(self, data: bytes) -> NDArray[np.void]:
        """The points as a structured array `[N]` of the fields that are of use here.

        Raises:
            SampleError: A field lies outside its point, or the data is shorter than the layout says.
        """
        if self.width == 0 or self.height == 0:
            return np.zeros(0, self._dtype())
        row_step = self.row_step if self.height > 1 else self.width * self.step
        if self.step < 1 or row_step < self.width * self.step:
            raise SampleError(f"points of {self.step} bytes do not fit rows of {row_step}", _SENT)
        needed = (self.height - 1) * row_step + self.width * self.step
        if needed > len(data):
            raise SampleError(
                f"{self.width} x {self.height} points of {self.step} bytes need {needed} bytes, {len(data)} are there",
                _SENT,
            )
        shape, strides = (self.height, self.width), (row_step, self.step)
        points: NDArray[np.void] = np.ndarray(shape, self._dtype(), data, 0, strides).reshape(-1)
        return points

    def _dtype(self) -> np.dtype[np.void]:
        used = {n: f for n, f in self.fields.items() if n in {"x", "y", "z", *_REFLECTANCES, *_TIMES}}
        for name, found in used.items():
            size = np.dtype(found.type).itemsize
            if found.repeated != 1 or found.offset < 0 or found.offset + size > max(self.step, 0):
                raise SampleError(f"the field '{name}' does not lie within a point of {self.step} bytes", _SENT)
        missing = {"x", "y", "z"} - used.keys()
        if missing:
            raise SampleError(f"points have no field {min(missing)} (they have {', '.join(self.fields)})", _SENT)
        order = ">" if self.big_endian else "<"
        return np.dtype(
            {
                "names": list(used),
                "formats": [order + f.type for f in used.values()],
                "offsets": [f.offset for f in used.values()],
                "itemsize": self.step,
            }
        )


@dataclass
class PointReader:
    """Reads the clouds of one topic; how its reflectance is scaled is settled by the first that has points.

    Attributes:
        notes: What was decided about this topic, for the report.
    """

    notes: list[str] = field(default_factory=list)
    _scale: float | None = None

    def read(self, layout: PointLayout, data: bytes, stamp_ns: int) -> PointCloud:
        """Points float32 `[N, 4]`; those that are not finite stay as they are.

        Raises:
            SampleError: Layout and data contradict each other.
        """
        packed = layout.view(data)
        points = np.empty((len(packed), 4), np.float32)
        for column, name in enumerate(("x", "y", "z")):
            points[:, column] = packed[name]
        points[:, 3] = self._reflectance(packed)
        return PointCloud(points, self._times(packed, stamp_ns))

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _reflectance(self, packed: NDArray[np.void]) -> NDArray[np.float32] | float:
        names = packed.dtype.names or ()
        name = next((n for n in _REFLECTANCES if n in names), None)
        if name is None:
            self._note("points have no reflectance: it is 0")
            return 0.0
        if not len(packed):
            return 0.0
        values = packed[name]
        if self._scale is None:
            self._scale = _full_scale(name, values)
            self._note(f"reflectance is {name} / {self._scale:g}")
        scaled: NDArray[np.float32] = np.minimum(values / np.float32(self._scale), np.float32(1)).astype(np.float32)
        return scaled

    def _times(self, packed: NDArray[np.void], stamp_ns: int) -> NDArray[np.float32] | None:
        names = packed.dtype.names or ()
        name = next((n for n in _TIMES if n in names), None)
        if name is None:
            return None
        offsets = _seconds_after(name, packed[name], stamp_ns)
        if offsets.size and not np.nanmax(np.abs(offsets), initial=0.0) <= FARTHEST_S:
            self._note(f"point times ({name}) are on another clock than the stamps: left out")
            return None
        self._note(f"point times are from {name}")
        return offsets.astype(np.float32)


def _full_scale(name: str, values: NDArray[np.generic]) -> float:
    """The value that is 1: known for integers, for floats the least usual range that holds all of them."""
    if values.dtype.kind in "iu":
        return 255.0 if name in _CALIBRATED or values.dtype.itemsize == 1 else 65535.0
    largest = float(np.max(values, initial=0.0, where=np.isfinite(values)))
    return next((scale for scale in (1.0, 255.0) if largest <= scale), 65535.0)


def _seconds_after(name: str, values: NDArray[np.generic], stamp_ns: int) -> NDArray[np.float64]:
    """Seconds from the stamp to each point."""
    whole = values.dtype.kind in "iu"
    if name in ("t", "offset_time"):
        offsets = values.astype(np.float64)
        return offsets / NS_PER_S if whole else _unwrapped(offsets)
    if name == "time" and not whole:
        return _unwrapped(values.astype(np.float64))
    if whole and values.dtype.itemsize == 4:  # microseconds after the hour
        return _of_the_hour(values.astype(np.float64) / 1e6, stamp_ns)
    if whole:
        after: NDArray[np.float64] = (values.astype(np.int64) - np.int64(stamp_ns)) / NS_PER_S
        return after
    seconds = values.astype(np.float64)
    if np.nanmin(np.abs(seconds), initial=np.inf) > _NANOSECONDS and seconds.size:
        seconds = seconds / NS_PER_S
    if seconds.size and np.nanmax(seconds, initial=0.0) < HOUR_S and stamp_ns >= HOUR_S * NS_PER_S:
        return _of_the_hour(seconds, stamp_ns)
    # The whole seconds are taken off first: a float64 holds nanoseconds only near zero.
    second, rest_ns = divmod(stamp_ns, NS_PER_S)
    return (seconds - second) - rest_ns / NS_PER_S


def _of_the_hour(seconds: NDArray[np.float64], stamp_ns: int) -> NDArray[np.float64]:
    return _unwrapped(seconds - stamp_ns % (round(HOUR_S) * NS_PER_S) / NS_PER_S)


def _unwrapped(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences that went over the top of the hour, brought back to their side of it."""
    wrapped = np.abs(offsets) > HOUR_S / 2
    return np.where(wrapped, (offsets + HOUR_S / 2) % HOUR_S - HOUR_S / 2, offsets)
