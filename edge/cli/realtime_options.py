"""What the command line asks of the scheduler, and the engine that is made accordingly."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from edge.runtime.errors import ConfigError
from edge.runtime.machine_state.core_lists import parse_cores
from edge.runtime.realtime.applying import RealtimeScope
from edge.runtime.realtime.settings import RealtimeConfig

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")


def realtime_scope(
    *,
    priority: int | None,
    niceness: int | None,
    cores: str | None,
    capture_cores: str | None,
    lock_memory: bool,
    switch_interval_ms: float | None,
    as_permitted: bool,
    threads: int | None,
    in_real_time: bool,
) -> RealtimeScope | None:
    """The settings as one, to be entered for the run; None where nothing is asked for.

    Raises:
        ConfigError: They contradict each other, name cores that are not there, or the run is not in real time.
    """
    numbers = (priority, niceness, switch_interval_ms)
    if all(number is None for number in numbers) and not (cores or capture_cores or lock_memory):
        return None
    if not in_real_time:
        raise ConfigError("priorities, cores and locked memory do nothing in virtual time", "add --realtime")
    try:
        config = RealtimeConfig(
            priority=priority,
            niceness=niceness,
            cores=_cores("--cores", cores),
            capture_cores=_cores("--capture-cores", capture_cores),
            lock_memory=lock_memory,
            switch_interval_ms=switch_interval_ms,
            engine_threads=threads if threads or capture_cores else 1,
            required=not as_permitted,
        )
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(said, "see edge run --help") from None
    return RealtimeScope(config)


def made_in(scope: RealtimeScope | None, make: Callable[[int], Made], threads: int | None) -> Made:
    """What `make` returns for a number of threads, with the scope's settings on the threads that it starts."""
    if scope is None:
        return make(threads or 1)
    return scope.made(lambda: make(scope.engine_threads))


def _cores(option: str, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    cores = parse_cores(text)
    if not cores:
        raise ConfigError(f"{option} {text} is no list of cores", f"write {option} 2,3 or {option} 0-3")
    return cores
