"""The tables of the distillation study, for the terminal and for docs/distillation.md."""

from __future__ import annotations

from statistics import mean
from typing import Any

from tables import table

TEACHER, HALF, ALONE, TAUGHT, BRANCHES = "teacher", "half-width teacher", "student alone", "taught", "taught by branch"
TITLES = {TAUGHT: "student taught: outputs, fusion", BRANCHES: "student taught: outputs, fusion, branches"}
MEAN = "mean of states"
LEAST_GAIN_OF_WIDTH = 0.5  # points by which a teacher must beat one of half its width, in the mean of the states


def report(result: dict[str, Any]) -> list[str]:
    """Two tables and what they say of the teacher's width."""
    states = list(next(iter(result["scores"].values())))
    rows = [
        [TITLES.get(arm, arm), f"{result['parameters'][arm]:,}", *(seeds(by_state[state]) for state in states)]
        for arm, by_state in result["scores"].items()
    ]
    lines = [
        f"Accuracy in %, {result['test_samples']} test samples; mean of the seeds, and the least and the largest.",
        "",
    ]
    lines += table(["", "parameters", *states], rows)
    lines += ["Differences in points, paired; 95 % interval of a bootstrap over recordings.", ""]
    rows = [
        [name, *(f"{row[s]['estimate']:+.2f} [{row[s]['low']:+.2f}, {row[s]['high']:+.2f}]" for s in (*states, MEAN))]
        for name, row in result["differences"].items()
    ]
    lines += table(["", *states, MEAN], rows)
    width = result["differences"].get(f"{TEACHER} - {HALF}")
    if width:
        lines += [_verdict_on_width(width[MEAN]["estimate"])]
    return lines


def _verdict_on_width(gain: float) -> str:
    told = f"In the mean of the states the half-width teacher is {gain:.2f} points worse"
    if gain < LEAST_GAIN_OF_WIDTH:
        return f"{told}, less than {LEAST_GAIN_OF_WIDTH}: it could be the teacher."
    return f"{told}, at least {LEAST_GAIN_OF_WIDTH}: the wider one is the teacher."


def seeds(values: list[float]) -> str:
    """Mean and range."""
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
