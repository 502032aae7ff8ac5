"""The road of each result through a live run: instants and stage times in a ring of rows, allocated once.

A row costs some microseconds a result (`benchmarks/tracing.py`), whatever the run's length, and takes no memory beyond
the ring. `edge.runtime.trace.spans` makes stages and a timeline of the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.runtime.fusion import Inference

CAPACITY = 4_096
# In a row: that there is no such instant or duration.
ABSENT = np.iinfo(np.int64).min
FIELDS = ("number", "last_arrival", "emitted", "taken", "ready", "preprocess", "transfer", "engine", "decode")
_NONE = int(ABSENT)
_NO_STREAM = (_NONE, _NONE)
_NOT_RUN = (_NONE, _NONE, _NONE, _NONE)


class Roads(NamedTuple):
    """Results in their order, one a row; instants and durations in nanoseconds, `ABSENT` where there is none.

    Attributes:
        streams: Names, in the order of the columns of `stamps` and `arrivals`.
        fields: int64 `[results]` by name, of `FIELDS`. `last_arrival` is that of the set's samples, absent at a
            predicted tick, which waited for none of them. `preprocess` to `decode` are wall times, absent where the
            model did not run.
        stamps: int64 `[results, streams]` in host time, of the samples that the model saw.
        arrivals: int64 `[results, streams]`, of fresh samples among them; one that was held is not this result's.
        lost: Earlier results that the ring no longer has.
    """

    streams: tuple[str, ...]
    fields: dict[str, NDArray[np.int64]]
    stamps: NDArray[np.int64]
    arrivals: NDArray[np.int64]
    lost: int


class RoadRecorder:
    """Keeps the last results' instants. One thread adds; what it has is read when that is done, or nearly so.

    It asks no clock: all instants are handed in, on the run's own axis.

    Args:
        streams: The model's, in the order of the columns.
        capacity: Results that are kept; the oldest give way.
    """

    def __init__(self, streams: Sequence[str], capacity: int = CAPACITY) -> None:
        self._streams = tuple(streams)
        self._rows = np.full((max(1, capacity), len(FIELDS) + 2 * len(self._streams)), ABSENT, np.int64)
        self._count = 0

    def add(self, number: int, inference: Inference, taken_ns: int, ready_ns: int) -> None:
        """Takes note of a result.

        Args:
            number: Of the result in its run.
            inference: With its set and the model's wall times.
            taken_ns: When the model's thread had the set.
            ready_ns: When the result was there.
        """
        synced, times, used = inference.synced, inference.times, inference.used
        samples, held, predicted = synced.samples, synced.held, synced.predicted
        last_ns = _NONE if predicted or not samples else max(s.arrival_ns for s in samples.values())
        wall = _NOT_RUN
        if times is not None:
            transfer_ns = _NONE if times.transfer_ns is None else times.transfer_ns
            wall = (times.preprocess_ns, transfer_ns, times.engine_ns, times.decode_ns)
        row = [number, last_ns, synced.emitted_ns, taken_ns, ready_ns, *wall]
        for name in self._streams:
            if name not in used:
                row += _NO_STREAM
                continue
            row.append(synced.stamps_ns[name])
            row.append(_NONE if name in held else samples[name].arrival_ns)
        self._rows[self._count % len(self._rows)] = row
        self._count += 1

    def roads(self) -> Roads:
        """A copy of what is kept."""
        count, capacity = self._count, len(self._rows)
        order = np.arange(max(0, count - capacity), count) % capacity
        rows = self._rows[order]
        fields = {name: rows[:, i] for i, name in enumerate(FIELDS)}
        pairs = rows[:, len(FIELDS) :]
        return Roads(self._streams, fields, pairs[:, 0::2], pairs[:, 1::2], max(0, count - capacity))
