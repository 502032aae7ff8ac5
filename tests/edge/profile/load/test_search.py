"""The search for the sustainable rate, on a runtime whose limits are known, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.profile.load.config import LoadConfig
from edge.profile.load.contents import LoadStep, StepFigures
from edge.profile.load.search import find_limit
from edge.profile.load.verdict import misses_of, saturation_of
from edge.runtime.statistics import Distribution
from tests.edge.profile.load.rate_model import MS, FixedTimes

CONFIG = LoadConfig(tolerated=0.0, repeats=0, slower=0.01, most=512.0)
durations = st.integers(MS // 2, 90 * MS)


def figures(**changes: object) -> StepFigures:
    """A step at 20 Hz without any miss."""
    whole = {
        "factor": 2.0,
        "asked_hz": 20.0,
        "delivered_hz": 20.0,
        "results_hz": 20.0,
        "sets": 100,
        "latency_ms": Distribution.of([3.0] * 100),
        "age_growth_ms": 0.1,
        "stages_ms": {"preprocess": 1.0, "engine": 5.0, "decode": 2.0, "queue": 50.0},
        "utilisation": {"producer": 0.1, "matching": 0.01, "inference": 0.16, "cores": 0.2},
    }
    return StepFigures.model_validate({**whole, **changes})


@settings(deadline=None, max_examples=40)
@given(push_ns=durations, match_ns=durations, engine_ns=durations, decode_ns=st.integers(MS // 2, 4 * MS))
def test_the_rate_found_is_within_the_bisection_of_the_limit(
    push_ns: int, match_ns: int, engine_ns: int, decode_ns: int
) -> None:
    runtime = FixedTimes(push_ns, match_ns, {"preprocess": MS // 4, "engine": engine_ns, "decode": decode_ns})
    found = find_limit(runtime.step, CONFIG)
    assert found.sustained is not None and found.missed is not None
    sustained_hz, missed_hz = found.sustained.figures.asked_hz, found.missed.figures.asked_hz
    assert missed_hz <= (1 + CONFIG.resolution) * sustained_hz
    # A thread that is 1 % too slow may show only after a step's time: that much is not seen.
    assert sustained_hz <= 1.015 * runtime.limit_hz
    assert missed_hz >= runtime.limit_hz * (1 - 1e-9)


@settings(deadline=None, max_examples=40)
@given(push_ns=durations, match_ns=durations, engine_ns=durations)
def test_what_is_named_is_what_takes_longest(push_ns: int, match_ns: int, engine_ns: int) -> None:
    runtime = FixedTimes(push_ns, match_ns, {"engine": engine_ns, "decode": MS // 4})
    missed = find_limit(runtime.step, CONFIG).missed
    assert missed is not None
    saturation = saturation_of(missed.figures)
    assert saturation is not None and saturation.is_full
    longest = max((push_ns, "producer"), (match_ns, "matching"), (engine_ns + MS // 4, "inference"))
    if sorted((push_ns, match_ns, engine_ns + MS // 4))[-2] < longest[0]:
        assert saturation.resource == longest[1]


def test_the_longest_stage_of_the_models_thread_is_named() -> None:
    runtime = FixedTimes(MS, MS, {"preprocess": 30 * MS, "engine": 20 * MS, "decode": MS})
    missed = find_limit(runtime.step, CONFIG).missed
    assert missed is not None
    saturation = saturation_of(missed.figures)
    assert saturation is not None and (saturation.resource, saturation.stage) == ("inference", "preprocess")


def test_the_first_rate_may_miss() -> None:
    found = find_limit(FixedTimes(MS, MS, {"engine": 500 * MS}).step, CONFIG)
    assert found.sustained is None and found.missed is found.steps[0] and len(found.steps) == 1


def test_the_highest_rate_may_be_sustained() -> None:
    seen: list[LoadStep] = []
    found = find_limit(FixedTimes(1000, 1000, {"engine": 1000}).step, LoadConfig(most=5.0, growth=2.0), seen.append)
    assert found.missed is None and found.sustained is not None
    assert [step.figures.factor for step in found.steps] == [1.0, 2.0, 4.0, 5.0]
    assert seen == list(found.steps)


def test_no_step_is_run_beyond_the_first_miss() -> None:
    runtime = FixedTimes(MS, MS, {"engine": 30 * MS})
    factors = [step.figures.factor for step in find_limit(runtime.step, CONFIG).steps]
    rising = [1.0, 1.5, 2.25, 3.375]
    assert factors[:4] == rising and max(factors) == rising[-1]


def test_a_stall_of_the_host_is_not_the_limit() -> None:
    runtime, calls = FixedTimes(MS, MS, {"engine": 30 * MS}), 0

    def stalled(factor: float) -> StepFigures:
        nonlocal calls
        calls += 1
        step = runtime.step(factor)
        return step.model_copy(update={"overruns": step.overruns + 50}) if calls == 2 else step

    config = CONFIG.model_copy(update={"repeats": 1})
    found = find_limit(stalled, config)
    assert [step.figures.factor for step in found.steps[:3]] == [1.0, 1.5, 1.5]
    assert found.steps[1].misses and not found.steps[2].misses
    assert found.sustained is not None
    assert found.sustained.figures.asked_hz == pytest.approx(runtime.limit_hz, rel=config.resolution)


def test_a_sound_step_misses_nothing() -> None:
    assert list(misses_of(figures(), LoadConfig())) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"overruns": 2}, "2 of 100 sets gave way to the next"),
        ({"deadline_misses": 3}, "3 of 100 sets reached their deadline incomplete"),
        ({"untrue": 4}, "4 of 100 sets gave a result that is blind or predicted"),
        ({"starved": 5}, "5 samples were lost before they were matched"),
        ({"delivered_hz": 19.0}, "sensors came at 19 Hz of 20 Hz"),
        ({"delivered_hz": None}, "sensors came at an unknown rate of 20 Hz"),
        ({"results_hz": 19.0}, "results came at 19 Hz of 20 Hz"),
        ({"age_growth_ms": 26.0}, "the age of results grew by 26.0 ms"),
        ({"sets": 0}, "no set was matched"),
    ],
)
def test_each_miss_is_a_line(change: dict[str, object], told: str) -> None:
    assert list(misses_of(figures(**change), LoadConfig())) == [told]


def test_a_hundredth_of_the_sets_is_the_hosts_unless_none_is_allowed() -> None:
    assert list(misses_of(figures(overruns=1), LoadConfig())) == []
    assert list(misses_of(figures(overruns=1), LoadConfig(tolerated=0.0))) != []


def test_what_is_merely_nearest_to_its_limit_is_not_full() -> None:
    found = saturation_of(figures())
    assert found is not None and (found.resource, found.stage, found.is_full) == ("cores", "cores", False)
    assert saturation_of(figures(utilisation={})) is None


@pytest.mark.parametrize(
    "wrong",
    [{"cameras": 0}, {"growth": 1.0}, {"start": 8.0, "most": 4.0}, {"tolerated": 1.0}, {"resolution": 0.0}, {"x": 1}],
)
def test_settings_that_end_nowhere_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LoadConfig.model_validate(wrong)
