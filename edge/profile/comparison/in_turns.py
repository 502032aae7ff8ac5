"""Two subjects in one process, timed in turns: what else the machine does hits both sides."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.profile.comparison.verdict import ComparisonConfig, ComparisonReport, judge, width_notes
from edge.profile.surroundings import Surroundings
from edge.profile.timed_loop import WARM_UP
from edge.runtime.statistics import WarmUp, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.profile.contents import Subject
    from edge.profile.subjects.timed import TimedSubject
    from edge.runtime.statistics.timing import NanosecondClock


def compare_in_turns(
    a: TimedSubject,
    b: TimedSubject,
    config: ComparisonConfig,
    *,
    warm_up: WarmUp = WARM_UP,
    clock: NanosecondClock = time.perf_counter_ns,
    on_round: Callable[[], None] | None = None,
) -> ComparisonReport:
    """How many times as long B takes as A, whichever goes first drawn anew each round.

    Raises:
        ConfigError: The clock is too coarse for what is timed.
        EdgeError: A subject fails.
    """
    with Surroundings({**a.threads, **b.threads}) as around:
        found = compare(
            a.run, b.run, rounds=config.rounds, seed=config.seed, warm_up=warm_up, clock=clock, on_round=on_round
        )
    details = {**found.to_json(), "subjects": {"a": a.subject.model_dump(), "b": b.subject.model_dump()}}
    return ComparisonReport(
        a=subject_title(a.subject),
        b=subject_title(b.subject),
        ratio=found.ratio,
        interval=found.interval,
        verdict=judge(found.interval, config.tolerance),
        tolerance=config.tolerance,
        interleaved=True,
        details={key: value for key, value in details.items() if key not in ("ratio", "interval")},
        notes=(
            *_side_notes("A", a),
            *_side_notes("B", b),
            *(() if details["stable"] else ("Durations of a side had not settled after the warm-up.",)),
            *around.changes,
            *width_notes(found.interval, config.tolerance, "more --samples would narrow it"),
        ),
    )


def subject_title(subject: Subject) -> str:
    """Name and engine, for messages."""
    return f"{subject.name} ({subject.engine})"


def _side_notes(side: str, timed: TimedSubject) -> tuple[str, ...]:
    return tuple(f"{side}: {note}" for note in timed.notes)
