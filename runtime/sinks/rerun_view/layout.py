"""Where things are in a view: names of what is drawn, and how a viewer lays them out at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Sequence

LATENCY, AGE, LEVEL, STATE, HEARD = "latency", "age", "level", "state", "heard"
TIME, RESULT = "time", "result"  # timelines: of stamps, from the first result on, and of running numbers


def camera_path(stream: str) -> str:
    """Of a camera's picture; what lies over it is below."""
    return f"cameras/{escaped(stream)}"


def sound_path(stream: str) -> str:
    """Of a sound's spectrogram."""
    return f"sounds/{escaped(stream)}"


def text_path(stream: str) -> str:
    """Of what a stream of text said last."""
    return f"texts/{escaped(stream)}"


def escaped(name: str) -> str:
    """A stream's name as a part of an entity's path."""
    text: str = require_module("rerun").escape_entity_path_part(name)
    return text


def first_layout(cameras: Sequence[str], sounds: Sequence[str], texts: Sequence[str] = ()) -> Any:
    """The blueprint: pictures, spectrograms and texts to the left, figures over time to the right."""
    blueprint = require_module("rerun.blueprint")
    pictures = [blueprint.Spatial2DView(origin=camera_path(name), name=name) for name in cameras]
    pictures += [blueprint.Spatial2DView(origin=sound_path(name), name=name) for name in sounds]
    pictures += [blueprint.TextDocumentView(origin=text_path(name), name=name) for name in texts]
    figures = [
        blueprint.TimeSeriesView(origin=LATENCY, name="latency, ms"),
        blueprint.TimeSeriesView(origin=AGE, name="age, ms"),
        blueprint.TimeSeriesView(origin=LEVEL, name="level: 0 ok, 1 degraded, 2 stale, 3 blind"),
        blueprint.TextLogView(contents=[f"{STATE}/**", f"{HEARD}/**"], name="state and events"),
    ]
    if not pictures:
        return blueprint.Blueprint(blueprint.Vertical(*figures), collapse_panels=True)
    columns = blueprint.Horizontal(blueprint.Vertical(*pictures), blueprint.Vertical(*figures), column_shares=[3, 2])
    return blueprint.Blueprint(columns, collapse_panels=True)
