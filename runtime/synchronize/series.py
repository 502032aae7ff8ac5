"""Series of readings, made of what a table stream gave up to the reading that was matched."""

from __future__ import annotations

import math
import threading
from collections import deque
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import ConfigError
from edge.runtime.sample import Reading, Series

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample

GAP, INCOMPLETE = "gap", "incomplete"
# Delays that differ by more show a clock that has stepped, or a stamp that is wrong: as the core's intake has it.
_STEP_PERIODS, _STEP_NS = 3, 200 * NS_PER_MS
_LARGEST_NS = 1 << 62
# Readings beyond those of a series that are kept: newer ones come while a set waits for its deadline and for a taker.
_BEYOND_S, _LEAST_BEYOND = 2.0, 16


class SeriesCut(NamedTuple):
    """A series, and how much of it was lost and filled.

    Attributes:
        payload: Float32 `[steps, fields]`, oldest first.
        concealed_ns: Time for which the reading before it stands in.
    """

    payload: Series
    concealed_ns: int


class ReadingHistory:
    """The last readings of one table stream. One thread may add while another asks.

    They are in the order of their stamps on the common axis, whatever their order of arrival. Two follow each other
    where they are up to one and a half periods apart. A longer hole up to `conceal_ns` is filled with the reading
    before it, one for each that was lost; beyond that there is no series until the hole has passed out of it.

    Args:
        steps: Readings of a series.
        period_ns: Nominal time between two of them.
        conceal_ns: The longest hole that is filled: time between two readings, less a period.
        room: Readings that are kept: see `history_room`.
    """

    def __init__(self, steps: int, period_ns: int, conceal_ns: int, room: int) -> None:
        self._steps, self._period_ns = steps, period_ns
        self._hole_ns = max(period_ns // 2, conceal_ns)
        self._suspect_ns = max(_STEP_PERIODS * period_ns, _STEP_NS)
        self._readings: deque[Sample] = deque(maxlen=room)
        self._lock = threading.Lock()
        # What is added to the stamps of the newest epoch and of the one before, and when the first set had the newest.
        self._epoch, self._since_ns = -1, 0
        self._offset_ns, self._offset_before_ns = 0, 0

    def __len__(self) -> int:
        return len(self._readings)

    def add(self, sample: Sample) -> None:
        """Keeps a reading, and the oldest gives way; one whose numbers the core refuses is none."""
        if _fits(sample.stamp_ns) and _fits(sample.arrival_ns):
            with self._lock:
                self._readings.append(sample)

    def until(self, newest: Sample, stamp_ns: int, epoch: int, emitted_ns: int) -> SeriesCut | str:
        """The series that ends with a reading.

        Args:
            newest: The reading that was matched.
            stamp_ns: Its stamp on the common axis.
            epoch: How often its stream's clock had been re-mapped.
            emitted_ns: When it was matched; what arrived later was not known then.

        Returns:
            `gap` where too many readings were lost, `incomplete` where it has not begun or its fields change.
        """
        with self._lock:
            self._note_epoch(newest, stamp_ns, epoch)
            readings = list(self._readings)
        stamps_ns, is_known = self._placed(readings, newest, emitted_ns)
        places = np.flatnonzero(is_known & (stamps_ns < stamp_ns))
        order = places[np.argsort(stamps_ns[places], kind="stable")]
        at_ns, first = np.unique(stamps_ns[order], return_index=True)  # a stamp that was there already does not count
        holes_ns = np.diff(at_ns, append=stamp_ns)[::-1] - self._period_ns  # from the newest back
        # Readings that a hole has room for; the nearest number, none up to half a period.
        lost = np.maximum(0, (holes_ns + self._period_ns // 2 - 1) // self._period_ns)
        rows = 1 + np.cumsum(1 + lost)
        used = int(np.searchsorted(rows, self._steps)) + 1 if self._steps > 1 else 0
        if (holes_ns[:used] > self._hole_ns).any():
            return GAP
        if used > len(rows):
            return INCOMPLETE
        repeats = 1 + lost[:used]
        chosen = [readings[place] for place in order[first][::-1][:used]]
        payload = _joined(newest, chosen, repeats, self._steps)
        if payload is None:
            return INCOMPLETE
        beyond = max(0, int(rows[used - 1]) - self._steps - 1) if used else 0  # filled where no row is left
        return SeriesCut(payload, (int(lost[:used].sum()) - beyond) * self._period_ns)

    def _note_epoch(self, newest: Sample, stamp_ns: int, epoch: int) -> None:
        offset_ns = stamp_ns - newest.stamp_ns
        if epoch != self._epoch:
            self._offset_before_ns = offset_ns if self._epoch < 0 else self._offset_ns
            self._epoch, self._since_ns = epoch, newest.arrival_ns
        self._offset_ns = offset_ns

    def _placed(
        self, readings: Sequence[Sample], newest: Sample, emitted_ns: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Stamps on the common axis, `[n]`, and which of them count: the core believes them, and had them by then."""
        arrivals_ns = np.array([one.arrival_ns for one in readings], np.int64)
        stamps_ns = np.array([one.stamp_ns for one in readings], np.int64)
        usual_ns = newest.arrival_ns - newest.stamp_ns - self._offset_ns
        late_ns, late_before_ns = (
            arrivals_ns - stamps_ns - offset - usual_ns for offset in (self._offset_ns, self._offset_before_ns)
        )
        # Which epoch a reading from around a clock step is of shows in its delay, which the step left as it was.
        is_before = (arrivals_ns < self._since_ns) & (np.abs(late_before_ns) < np.abs(late_ns))
        late_ns = np.where(is_before, late_before_ns, late_ns)
        offsets_ns = np.where(is_before, self._offset_before_ns, self._offset_ns)
        is_judged = arrivals_ns <= newest.arrival_ns  # one that may have stepped is left out until that is known
        is_believed = (late_ns >= -self._suspect_ns) & (is_judged | (late_ns <= self._suspect_ns))
        return stamps_ns + offsets_ns, is_believed & (arrivals_ns <= emitted_ns)


def histories_of(
    rig: Rig, streams: Collection[str], steps: Mapping[str, int], waiting: int = 0
) -> dict[str, ReadingHistory]:
    """A history for each stream that is read as series.

    Args:
        rig: Rates, and how long a hole may be.
        streams: Those that are matched; others need none.
        steps: Readings of a series, by stream.
        waiting: Sets that may wait to be taken, before their series are made.

    Raises:
        RigError: The rig lacks a stream.
        ConfigError: A stream is no table.
    """
    histories: dict[str, ReadingHistory] = {}
    for name in (name for name in steps if name in streams):
        stream, room = rig.stream(name), history_room(rig, name, steps[name], waiting)
        if stream.kind != "table":
            raise ConfigError(f"a series is asked of '{name}', a {stream.kind} stream", "ask it of a table stream")
        histories[name] = ReadingHistory(steps[name], stream.period_ns, round(stream.conceal_ms * NS_PER_MS), room)
    return histories


def history_room(rig: Rig, stream: str, steps: int, waiting: int) -> int:
    """How many readings a history keeps; see `histories_of`."""
    beyond_ns = _BEYOND_S * NS_PER_S + waiting * rig.stream(rig.anchor).period_ns
    return steps + max(_LEAST_BEYOND, math.ceil(beyond_ns / rig.stream(stream).period_ns))


def _fits(number_ns: Any) -> bool:
    try:
        return abs(index(number_ns)) < _LARGEST_NS
    except TypeError:
        return False


def _joined(newest: Sample, before: Sequence[Sample], repeats: NDArray[np.int64], steps: int) -> Series | None:
    """The newest reading, and those before it from new to old, each so many times; None where their fields differ."""
    readings = [one.payload for one in (newest, *before)]
    fields = getattr(readings[0], "fields", ())
    values = [one.values for one in readings if isinstance(one, Reading) and one.fields == fields]
    if len(values) < len(readings) or {one.shape for one in values} != {(len(fields),)}:
        return None
    stacked = np.concatenate(values).reshape(len(values), len(fields))  # np.stack takes thrice as long
    rows = np.repeat(stacked, np.concatenate([[1], repeats]), axis=0)[:steps]
    return Series(np.ascontiguousarray(rows[::-1], np.float32), fields)
