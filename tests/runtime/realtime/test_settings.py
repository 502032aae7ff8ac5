"""Settings that contradict themselves or the machine, and how many threads leave capture a core."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.runtime.errors import ConfigError
from edge.runtime.realtime.settings import RealtimeConfig, threads_beside_capture

CORES = st.frozensets(st.integers(0, 15))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"priority": 0}, "greater than or equal to 1"),
        ({"priority": 100}, "less than or equal to 99"),
        ({"niceness": 20}, "less than or equal to 19"),
        ({"cores": (1, 1)}, "name each core once"),
        ({"cores": (-1,)}, "name each core once"),
        ({"priority": 5, "niceness": 5}, "a thread with a priority has no niceness"),
        ({"cores": (0, 1, 2), "capture_cores": (1, 2)}, "core 1-2 is both"),
        ({"switch_interval_ms": 0}, "greater than or equal to 0.01"),
        ({"engine_threads": 0}, "greater than or equal to 1"),
        ({"prioritty": 5}, "Extra inputs"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RealtimeConfig.model_validate(values)


def test_nothing_is_set_by_default() -> None:
    config = RealtimeConfig()
    assert not config.sets_threads
    assert config.model_cores({0, 1}) == (0, 1)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (RealtimeConfig(cores=(1, 7)), r"core 7 is none of those that this process may use \(0-3\)"),
        (RealtimeConfig(capture_cores=(9,)), r"core 9 is none of those"),
        (RealtimeConfig(capture_cores=(0, 1, 2, 3)), "all cores are left to capture"),
    ],
)
def test_what_the_machine_has_not_is_refused(config: RealtimeConfig, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.model_cores({0, 1, 2, 3})


@given(CORES, CORES)
def test_capture_keeps_its_cores_and_the_engine_a_thread(usable: frozenset[int], capture: frozenset[int]) -> None:
    threads = threads_beside_capture(usable, capture)
    assert threads >= 1
    assert threads == 1 or threads + len(usable & capture) == len(usable)


@given(CORES.filter(bool), CORES)
def test_the_model_never_runs_where_capture_does(usable: frozenset[int], capture: frozenset[int]) -> None:
    config = RealtimeConfig(capture_cores=tuple(capture & usable))
    if usable <= capture:
        with pytest.raises(ConfigError):
            config.model_cores(usable)
    else:
        assert set(config.model_cores(usable)) == usable - capture
        assert config.threads_of_engine(usable) == len(usable - capture)


def test_a_given_count_of_threads_is_kept() -> None:
    assert RealtimeConfig(engine_threads=3).threads_of_engine({0, 1}) == 3
