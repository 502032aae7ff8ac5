"""A profile's timeline in the Trace Event Format, which Perfetto and chrome://tracing open.

Google, *Trace Event Format*, 2016: complete events (`ph` X, microseconds), and metadata events that name processes and
threads.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge.profile.views.lanes import lanes_of
from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.profile.contents import LayerTime, Profile, Span

RUN, LAYERS = 1, 2  # processes of the trace
_US_PER_MS = 1e3


def write_trace(profile: Profile, path: Path) -> None:
    """Writes the spans, a thread for each track, and the layers one after the other with their mean times.

    Spans of one track that overlap without one lying in the other are drawn as several threads.
    """
    found = {
        "traceEvents": [*_span_events(profile), *_layer_events(profile)],
        "displayTimeUnit": "ms",
        "otherData": {
            "subject": profile.subject.name,
            "engine": profile.subject.engine,
            "scenario": profile.scenario,
            "source": profile.source,
        },
    }
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _span_events(profile: Profile) -> Iterator[dict[str, Any]]:
    yield _named("process_name", RUN, 0, f"{profile.subject.name}, {profile.scenario}")
    thread = 0
    for track, lines in lanes_of(profile.spans, nested=True).items():
        for number, line in enumerate(lines, start=1):
            thread += 1
            yield _named("thread_name", RUN, thread, track if number == 1 else f"{track} ({number})")
            yield from (_span_event(span, thread) for span in line)


def _span_event(span: Span, thread: int) -> dict[str, Any]:
    arguments = {} if span.number is None else {"number": span.number}
    return _complete(span.name, "stage", RUN, thread, span.start_us, span.duration_us, arguments)


def _layer_events(profile: Profile) -> Iterator[dict[str, Any]]:
    if not profile.layers:
        return
    yield _named("process_name", LAYERS, 0, "layers, mean of a run")
    yield _named("thread_name", LAYERS, 1, profile.subject.engine)
    start_us = 0.0
    for layer in profile.layers:
        taken_us = layer.ms * _US_PER_MS
        yield _complete(layer.name, layer.kind, LAYERS, 1, start_us, taken_us, _told(layer))
        start_us += taken_us


def _told(layer: LayerTime) -> dict[str, Any]:
    return layer.model_dump(include={"kind", "macs", "bytes", "precision"}, exclude_none=True)


def _complete(
    name: str, category: str, process: int, thread: int, start_us: float, taken_us: float, arguments: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "pid": process,
        "tid": thread,
        "ts": round(start_us, 3),
        "dur": round(taken_us, 3),
        "args": arguments,
    }


def _named(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}
