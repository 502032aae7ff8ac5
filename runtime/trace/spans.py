"""Stages and a timeline of what a `RoadRecorder` kept.

```
stamp --arrival--> arrived --sync_wait--> matched --queue--> taken --> (deskew), preprocess, transfer, engine, decode
```

From the last arrival of a set on, the stages and the deskewing add up to the time until the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.runtime.clock import NS_PER_S
from edge.runtime.trace.road_recorder import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.runtime.trace.road_recorder import Roads

MATCHING, INFERENCE = "matching", "inference"
# On the thread that runs the model, in this order; they end when the result is ready.
WALL_STAGES = ("preprocess", "transfer", "engine", "decode")
TAKE = "take"


class RoadSpan(NamedTuple):
    """A step of one result.

    Attributes:
        track: The stream, `matching` or `inference`.
        stage: `arrival`, `sync_wait`, `queue`, `preprocess`, `transfer`, `engine` or `decode`.
        start_ns: On the run's axis.
        duration_ns: Never negative.
        number: Of the result.
    """

    track: str
    stage: str
    start_ns: int
    duration_ns: int
    number: int


def stage_durations_ns(roads: Roads, anchor: str) -> dict[str, NDArray[np.int64]]:
    """Durations of each stage in the order of the results; a stage that no result has is left out.

    Args:
        roads: What was kept.
        anchor: Whose stamp-to-arrival is the stage `arrival`. A stamp ahead of its arrival is no duration and left
            out; the report's `negative_delays` counts those.
    """
    fields = roads.fields
    found = {
        "sync_wait": _between(fields["last_arrival"], fields["emitted"]),
        "queue": _between(fields["emitted"], fields["taken"]),
        **{name: _present(fields[name]) for name in WALL_STAGES},
    }
    if anchor in roads.streams:
        column = roads.streams.index(anchor)
        found = {"arrival": _between(roads.stamps[:, column], roads.arrivals[:, column]), **found}
    return {name: durations for name, durations in found.items() if len(durations)}


def take_durations_ns(roads: Roads) -> NDArray[np.int64]:
    """From each result to the model's thread having the next set, where that had been matched before the result.

    So the thread did not wait for it: the time is that of judging and handing out the one and taking the other.
    """
    ready, emitted, taken = (roads.fields[name] for name in ("ready", "emitted", "taken"))
    waited = emitted[1:] <= ready[:-1]
    return np.asarray((taken[1:] - ready[:-1])[waited], np.int64)


def latencies_ns(roads: Roads) -> NDArray[np.int64]:
    """From the last arrival of each set to its result, where the model ran and the set waited for a sample."""
    is_run = roads.fields["engine"] != ABSENT
    return _between(roads.fields["last_arrival"][is_run], roads.fields["ready"][is_run])


def result_rate_hz(roads: Roads) -> float | None:
    """Results a second from the first to the last; None of fewer than two."""
    ready = roads.fields["ready"]
    if len(ready) < 2 or ready[-1] <= ready[0]:
        return None
    return float((len(ready) - 1) * NS_PER_S / (ready[-1] - ready[0]))


def ages_ns(roads: Roads) -> dict[str, NDArray[np.int64]]:
    """Result minus stamp by stream, and as `result` the oldest of each result's; of the samples that the model saw."""
    ready = roads.fields["ready"]
    seen = roads.stamps != ABSENT
    found = {name: (ready - roads.stamps[:, i])[seen[:, i]] for i, name in enumerate(roads.streams)}
    some = seen.any(axis=1)
    oldest = np.where(seen, roads.stamps, np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
    found["result"] = ready[some] - oldest[some]
    return {name: ages for name, ages in found.items() if len(ages)}


def select_roads(roads: Roads, chosen: NDArray[np.bool_]) -> Roads:
    """The results at which `chosen` (bool `[results]`) is true."""
    fields = {name: column[chosen] for name, column in roads.fields.items()}
    return roads._replace(fields=fields, stamps=roads.stamps[chosen], arrivals=roads.arrivals[chosen])


def road_spans(roads: Roads) -> Iterator[RoadSpan]:
    """The timeline, result by result."""
    fields = {name: column.tolist() for name, column in roads.fields.items()}
    stamps, arrivals = roads.stamps.tolist(), roads.arrivals.tolist()
    for i, number in enumerate(fields["number"]):
        at = {name: column[i] for name, column in fields.items()}
        for name, stamp, arrival in zip(roads.streams, stamps[i], arrivals[i], strict=True):
            yield from _span(name, "arrival", stamp, arrival, number)
        yield from _span(MATCHING, "sync_wait", at["last_arrival"], at["emitted"], number)
        yield from _span(MATCHING, "queue", at["emitted"], at["taken"], number)
        yield from _wall_spans(at)


def _wall_spans(at: dict[str, int]) -> Iterator[RoadSpan]:
    """Backwards from the result: what lies between its beginning and the queue is deskewing."""
    stages = [(name, at[name]) for name in WALL_STAGES if at[name] != ABSENT]
    start = at["ready"] - sum(duration for _, duration in stages)
    for name, duration in stages:
        yield RoadSpan(INFERENCE, name, start, duration, at["number"])
        start += duration


def _span(track: str, stage: str, begin: int, end: int, number: int) -> Iterator[RoadSpan]:
    if ABSENT not in (begin, end) and end >= begin:
        yield RoadSpan(track, stage, begin, end - begin, number)


def _present(column: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(column[column != ABSENT], np.int64)


def _between(begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    known = (begin != ABSENT) & (end != ABSENT)
    durations = end[known] - begin[known]
    return np.asarray(durations[durations >= 0], np.int64)
