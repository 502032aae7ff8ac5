"""The words for faults: what is read, what is written, and one line for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.runtime.errors import ConfigError, FaultError
from edge.runtime.faults import FaultySource, parse_fault
from edge.runtime.faults.grammar import KINDS
from edge.runtime.faults.quantities import DAY_NS, HOLD_NS, as_duration, parse_duration
from edge.runtime.faults.stamps import ClockStep
from edge.runtime.faults.transport import Late, Stall

if TYPE_CHECKING:
    from edge.runtime.faults import Fault
    from edge.runtime.sources.base import Source

S, MS = 1_000_000_000, 1_000_000
NEEDED: dict[str, dict[str, st.SearchStrategy[float]]] = {
    "burst": {"length_ns": st.integers(1, HOLD_NS)},
    "clock-step": {"by_ns": st.integers(-DAY_NS, -1)},
    "offset": {"by_ns": st.integers(1, DAY_NS)},
    "drift": {"ppm": st.floats(1e-6, 1e5) | st.floats(-1e5, -1e-6)},
}
OPTIONAL: dict[str, dict[str, st.SearchStrategy[float]]] = {
    "drop": {"p": st.floats(1e-9, 1)},
    "late": {"p": st.floats(1e-9, 1), "by_ns": st.integers(1, HOLD_NS)},
    "duplicate": {"by_ns": st.integers(1, HOLD_NS)},
    "reorder": {"k": st.integers(1, 100)},
    "nan": {"share": st.floats(1e-9, 1)},
    "burst": {"every_ns": st.integers(1, HOLD_NS)},
}


@st.composite
def any_fault(draw: st.DrawFn) -> Fault:
    kind = draw(st.sampled_from(sorted(KINDS)))
    values = {"stream": draw(st.sampled_from(["all", "lidar", "camera"])), "start_ns": draw(st.integers(0, DAY_NS))}
    optional = {"length_ns": st.integers(1, DAY_NS), **OPTIONAL.get(kind, {})}
    chosen = {key: draw(of) for key, of in optional.items() if draw(st.booleans())}
    return KINDS[kind].model_validate(values | chosen | {k: draw(of) for k, of in NEEDED.get(kind, {}).items()})


def test_thirteen_kinds() -> None:
    kinds = "drop stall burst late duplicate reorder clock-step drift offset nan empty wrong-size frozen"
    assert " ".join(KINDS) == kinds
    assert len({cls.order for cls in KINDS.values()}) == 13


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lidar:stall@5s+3s", Stall(stream="lidar", start_ns=5 * S, length_ns=3 * S)),
        ("audio:clock-step@4s,by=-5s", ClockStep(stream="audio", start_ns=4 * S, by_ns=-5 * S)),
        (
            "lidar:late@2s+9s,p=.02,by=200ms",
            Late(stream="lidar", start_ns=2 * S, length_ns=9 * S, p=0.02, by_ns=200 * MS),
        ),
        (" all : stall @ 1.5min + 2us ", Stall(stream="all", start_ns=90 * S, length_ns=2000)),
    ],
)
def test_the_contracts_examples(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@given(any_fault())
def test_what_is_written_is_read_back(fault: Fault) -> None:
    assert parse_fault(str(fault)) == fault


@given(st.integers(-DAY_NS, DAY_NS))
def test_durations_are_exact(nanoseconds: int) -> None:
    assert parse_duration(as_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lacks its :KIND"),
        ("lidar:stall", "lacks its @START"),
        (":stall@5s", "names no stream"),
        ("lidar:stal@5s", "unknown kind 'stal' (did you mean 'stall'?); use one of drop, stall"),
        ("lidar:stall@5", "start '5' has no unit (units are ns, us, ms, s, min)"),
        ("lidar:stall@1h", "unknown unit 'h'"),
        ("lidar:stall@nan", "start 'nan' is no time"),
        ("lidar:stall@1e3s", "start '1e3s' is no time"),
        ("lidar:stall@-5s", "start: -5s is out of range: not negative"),
        ("lidar:stall@9999999999min", "at most 86400s"),
        ("lidar:stall@" + "9" * 60 + "s", "is no time"),
        ("lidar:stall@5s+0s", "length: 0s is out of range: above 0"),
        ("lidar:stall@5s+-1s", "length: -1s is out of range"),
        ("lidar:stall@5s+", "length '' is no time"),
        ("lidar:stall@5s,p=1", "unknown key 'p'; it takes no keys"),
        ("lidar:late@5s,bye=1s", "unknown key 'bye' (did you mean 'by'?); it takes p=, by="),
        ("lidar:late@5s,by=31s", "by: 31s is out of range: above 0 and at most 30s"),
        ("lidar:late@5s,by=-1s", "by: -1s is out of range"),
        ("lidar:late@5s,by=200", "by '200' has no unit"),
        ("lidar:drop@5s,p=0", "p: 0 is out of range: above 0"),
        ("lidar:drop@5s,p=-0.1", "p: -0.1 is out of range"),
        ("lidar:drop@5s,p=1.01", "at most 1"),
        ("lidar:drop@5s,p=nan", "p: Input should be a finite number"),
        ("lidar:drop@5s,p=inf", "p: Input should be a finite number"),
        ("lidar:drop@5s,p=half", "p 'half' is no number"),
        ("lidar:drop@5s,p", "'p' has no value"),
        ("lidar:drop@5s,", "'' has no value"),
        ("lidar:drop@5s,p=.1,p=.2", "two values of 'p'"),
        ("lidar:reorder@5s,k=1.5", "k: Input should be a valid integer"),
        ("lidar:reorder@5s,k=0", "k: Input should be greater than or equal to 1"),
        ("lidar:clock-step@5s", "lacks 'by'; add ,by=-5s"),
        ("lidar:clock-step@5s,by=0s", "by: 0 changes nothing"),
        ("lidar:drift@5s", "lacks 'ppm'; add ,ppm=100"),
        ("lidar:drift@5s,ppm=1e6", "out of range"),
        ("lidar:burst@5s", "burst needs a length"),
        ("lidar:burst@5s+31s", "at most 30s"),
        ("lidar:stall@5s\n+3s", "characters that do not print"),
        ("lidar:stall@5s" + " " * 200, "longer than 200 characters"),
    ],
)
def test_a_bad_word_is_one_line_that_says_what_is_right(text: str, told: str) -> None:
    with pytest.raises(FaultError) as refused:
        parse_fault(text)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, ConfigError)
    assert refused.value.exit_code == 2


@given(st.text(max_size=60) | st.from_regex(r"[a-z]*:[a-z-]{0,10}@[0-9a-z.+-]{0,10}(,[a-z]{0,3}=[-0-9.a-z]{0,6})?"))
def test_any_text_is_a_fault_or_a_fault_error(text: str) -> None:
    try:
        fault = parse_fault(text)
    except FaultError as error:
        assert "\n" not in str(error)
    else:
        assert parse_fault(str(fault)) == fault


def test_streams_are_those_of_the_source(healthy: Source) -> None:
    with pytest.raises(FaultError, match=r"no stream 'lider' \(did you mean 'lidar'\?\); name one of audio, camera"):
        FaultySource(healthy, [parse_fault("lider:stall@1s")])


def test_the_same_fault_twice_is_refused(healthy: Source) -> None:
    twice = [parse_fault("lidar:drop@1s,p=1"), parse_fault("lidar:drop@1000ms")]
    with pytest.raises(FaultError, match="'lidar:drop@1s' is given twice"):
        FaultySource(healthy, twice)


def test_a_negative_seed_is_refused(healthy: Source) -> None:
    with pytest.raises(FaultError, match="seed -1"):
        FaultySource(healthy, [], seed=-1)


def test_faults_are_records() -> None:
    fault = Stall(stream="lidar", start_ns=1)
    assert KINDS["stall"].model_validate_json(fault.model_dump_json()) == fault
    with pytest.raises(ValidationError, match="frozen"):
        fault.start_ns = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        Stall(stream="lidar", start_ns=1, surprise=2)  # type: ignore[call-arg]
