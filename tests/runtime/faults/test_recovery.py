"""How long results stay incomplete after the last fault: what counts, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.runtime.faults import FaultySource, parse_fault
from edge.runtime.faults.recovery import RecoveryWatch, recovery_watch
from edge.runtime.result import FusedResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.runtime.sources.base import Source

S, MS = 1_000_000_000, 1_000_000


def result(state: str, valid: bool = True) -> FusedResult:
    return FusedResult(
        seq=0,
        stamp_ns=0,
        state=state,
        present=(),
        held=(),
        ages_ms={},
        spread_ms=0.0,
        epochs={},
        valid=valid,
        reason="" if valid else "broken",
        level="ok" if valid else "blind",
        levels={},
    )


def recovery_ms(states: Iterable[tuple[int, str]], over_ms: int | None = 5000) -> float | None:
    watch = RecoveryWatch(lambda: None if over_ms is None else over_ms * MS, "all")
    for ready_ms, state in states:
        watch.add(ready_ms * MS, result(state))
    found = watch.recovery_ns()
    return None if found is None else found / MS


def at_10_hz(begin_ms: int, end_ms: int, state: str = "all") -> list[tuple[int, str]]:
    return [(ms, state) for ms in range(begin_ms, end_ms, 100)]


def test_the_first_complete_result_after_the_end_counts() -> None:
    incomplete = at_10_hz(3050, 5450, "no_lidar")
    assert recovery_ms([*at_10_hz(50, 3050), *incomplete, *at_10_hz(5450, 9000)]) == 450


def test_without_loss_it_is_the_next_result() -> None:
    assert recovery_ms(at_10_hz(50, 9000)) == 50
    assert recovery_ms(at_10_hz(0, 9000)) == 0


def test_a_complete_result_among_incomplete_ones_is_no_recovery() -> None:
    states = [*at_10_hz(5050, 5650, "no_lidar"), (5650, "all"), (5750, "no_lidar"), *at_10_hz(5850, 9000)]
    assert recovery_ms(states) == 850


def test_a_result_that_is_not_valid_is_not_complete() -> None:
    watch = RecoveryWatch(lambda: 0, "all")
    watch.add(1, result("all", valid=False))
    assert watch.recovery_ns() is None
    watch.add(2, result("all"))
    assert watch.recovery_ns() == 2


def test_after_a_second_of_complete_results_other_causes_do_not_count() -> None:
    assert recovery_ms([*at_10_hz(5050, 7000), *at_10_hz(7000, 9000, "no_audio")]) == 50
    assert recovery_ms([*at_10_hz(5050, 5950), *at_10_hz(5950, 9000, "no_audio")]) is None


def test_silence_after_the_end_counts() -> None:
    assert recovery_ms([*at_10_hz(50, 4000), *at_10_hz(7050, 9000)]) == 2050


def test_no_end_or_no_result_gives_none() -> None:
    assert recovery_ms(at_10_hz(50, 9000), over_ms=None) is None
    assert recovery_ms(at_10_hz(50, 4000)) is None


def test_a_source_tells_when_its_faults_are_over(healthy: Source) -> None:
    source = FaultySource(healthy, [parse_fault("lidar:stall@1s+2s")])
    watch = recovery_watch(source, "no_camera")
    watch.add(10**18, result("no_camera"))
    assert watch.recovery_ns() is None  # no sample has come
    origin = next(source.samples()).arrival_ns
    watch.add(origin + 3 * S + 7, result("no_camera"))
    assert watch.recovery_ns() == 7


@pytest.mark.parametrize("wrapped", [False, True])
def test_without_faults_there_is_nothing_to_recover_from(healthy: Source, wrapped: bool) -> None:
    watch = recovery_watch(FaultySource(healthy, []) if wrapped else healthy, "all")
    watch.add(10**18, result("all"))
    assert watch.recovery_ns() is None
