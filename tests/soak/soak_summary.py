"""The figures of a soak, as a table for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.runtime.clock import NS_PER_MS
from edge.runtime.statistics import Distribution
from tests.soak.vital_signs import AtRest

if TYPE_CHECKING:
    from tests.soak.lifetime import Tally
    from tests.soak.vital_signs import MemoryCurve

WARM = 0.3
_WIDTH, _SHOWN = 16, 5


def results_of(tally: Tally) -> dict[str, Any]:
    """What the runtimes did, and what was done to them."""
    witness = tally.witness
    return {
        "lives": tally.lives,
        "results": witness.results,
        "valid": witness.valid,
        "states": dict(sorted(witness.states.items())),
        "iterated": tally.iterated,
        "called": tally.called,
        "raised": tally.raised,
        "pushed": tally.pushed,
        "taken": tally.taken,
        "payloads": {"arrays": tally.payloads.watched, "most": tally.payloads.most, "left": len(tally.payloads)},
        "faults": dict(sorted(tally.hits.items())),
        "unusual": dict(sorted(tally.unusual.items())),
        "high_water": dict(sorted(tally.high_water.items())),
        "gap_ms": Distribution.of_histogram(witness.gaps, NS_PER_MS).to_json(),
        "own_gaps": own_gaps(tally),
        "push_ms": Distribution.of_histogram(tally.blocked, NS_PER_MS).to_json(),
        "closing_s": round(tally.closing_s, 3),
        "cpu_wait_s": round(tally.waited_s, 1),
        "stamps_back": witness.went_back + tally.iterated_back,
        "errors": tally.errors,
    }


def memory_of(memory: MemoryCurve, rests: list[AtRest]) -> dict[str, Any]:
    """Resident memory of the whole time, and what was held after each life."""
    return {
        "rss_mib": {
            "start": memory.around_mib(0),
            "warm": memory.around_mib(WARM),
            "end": memory.around_mib(1),
            "slope_per_min": memory.slope_mib_per_min(),
        },
        "at_rest": {name: [getattr(one, name) for one in rests] for name in AtRest._fields},
    }


def own_gaps(tally: Tally) -> list[dict[str, Any]]:
    """The longest silences by what is left of them without waiting for a CPU, and what was wrong in their middle."""
    return [
        {
            "own_ms": round(gap.own_ns / NS_PER_MS, 1),
            "ms": round(gap.length_ns / NS_PER_MS, 1),
            "faults": gap.faults,
        }
        for gap in sorted(tally.witness.longest, reverse=True)
    ]


def as_table(figures: dict[str, Any]) -> str:
    """A line for each figure, and for each part of those that have parts."""
    return "\n".join(line for name, value in figures.items() for line in _lines(name, value)) + "\n"


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        told = [f"{key}={_short(one)}" for key, one in value.items()]
        rows = ["  ".join(told[at : at + 5]) for at in range(0, len(told), 5)]
    elif isinstance(value, list):
        rows = [_short(one) for one in value[:_SHOWN]]
    else:
        rows = [_short(value)]
    return [f"{name if not i else '':<{_WIDTH}}{row}" for i, row in enumerate(rows or ["none"])]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
