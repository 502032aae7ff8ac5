"""`edge profile --load`: the rate that a bundle sustains on this machine."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge.profile.load.config import LoadConfig
from edge.profile.load.contents import LoadReport, LoadStep
from edge.profile.load.live_step import LiveSteps
from edge.profile.load.search import find_limit
from edge.profile.load.sensors import synthetic_sensors
from edge.profile.load.verdict import saturation_of
from edge.profile.streaming.subject import streamed_subject
from edge.profile.surroundings import Surroundings
from edge.runtime.environment import describe_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.profile.load.search import Found
    from edge.profile.load.sensors import SyntheticSensors
    from edge.run_engine import RunEngine
    from edge.runtime.bundle import Bundle

# Tells each change of a result's level; beyond the limit that is several times a second, and the report says it.
_LEVELS_LOGGER = "edge.runtime.health"


def run_load(
    bundle: Bundle,
    config: LoadConfig,
    engine: RunEngine,
    *,
    root: Path = Path("/"),
    on_step: Callable[[LoadStep], None] = lambda _step: None,
) -> LoadReport:
    """Raises the rates of synthetic sensors until the runtime misses, and says what is full then.

    Sensors are the simulated vehicle's, or those of the bundle's own rig, pushed by one thread of this process;
    payloads are made ahead, and a push costs their copy, the look at them and the hand-over.

    Args:
        bundle: The model.
        config: How the load is raised.
        engine: Runs one of the bundle's graphs.
        root: Below which the system's files are.
        on_step: Called after each step.

    Raises:
        ConfigError: More of a kind is asked for than the bundle's rig has, or sound sets its pace.
        ModelError: The engine failed.
    """
    sensors = synthetic_sensors(config, bundle)
    threads = getattr(engine.engine, "thread_settings", {"engine": engine.threads})
    surroundings = Surroundings(threads, root)
    measure = LiveSteps(bundle, engine.engine, sensors, config)
    with surroundings, _levels_untold():
        found = find_limit(measure, config, on_step)
    return LoadReport(
        subject=streamed_subject(bundle, engine.engine),
        config=config,
        streams_hz={name: stream.rate_hz for name, stream in sensors.rig.streams.items()},
        anchor=sensors.rig.anchor,
        steps=found.steps,
        sustained_hz=None if found.sustained is None else found.sustained.figures.asked_hz,
        missed_hz=None if found.missed is None else found.missed.figures.asked_hz,
        saturated=None if found.missed is None else saturation_of(found.missed.figures),
        before=surroundings.before,
        after=surroundings.after,
        environment=describe_host(threads={"engine": engine.threads}),
        notes=(
            f"Graph {engine.engine.name}: {engine.reason}.",
            *engine.notes,
            *_notes(found, bundle, sensors),
        ),
    )


@contextmanager
def _levels_untold() -> Iterator[None]:
    logger = logging.getLogger(_LEVELS_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _notes(found: Found, bundle: Bundle, sensors: SyntheticSensors) -> Iterator[str]:
    yield from sensors.notes
    if found.sustained is None:
        yield "The first step missed: no rate of this search is sustained, start lower."
    elif found.missed is None:
        yield "The highest rate asked for was sustained: the limit lies above."
    if sensors.added:
        read, added = ", ".join(bundle.model_io.modalities), ", ".join(sensors.added)
        yield f"The model reads {read}; {added} are matched and not read."
    yield "Sensors are simulated and pushed by one thread of this process, which shares the cores and Python's lock."
