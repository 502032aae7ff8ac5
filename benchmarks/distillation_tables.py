"""The tables of the distillation study, for the terminal and for docs/distillation.md."""

from __future__ import annotations

from statistics import mean
from typing import Any

from tables import table

TEACHER, HALF, ALONE, TAUGHT, BRANCHES = "teacher", "half-width teacher", "student alone", "taught", "taught by branch"
TITLES = {TAUGHT: "student taught: outputs, fusion", BRANCHES: "student taught: outputs, fusion, branches"}
LEAST_GAIN_OF_WIDTH = 0.5  # points by which a teacher must beat one of half its width


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
        [name, *(f"{row[s]['estimate']:+.2f} [{row[s]['low']:+.2f}, {row[s]['high']:+.2f}]" for s in states)]
        for name, row in result["differences"].items()
    ]
    lines += table(["", *states], rows)
    width = result["differences"].get(f"{TEACHER} - {HALF}")
    if width and width["all"]["estimate"] < LEAST_GAIN_OF_WIDTH:
        lines += [f"The half-width teacher is less than {LEAST_GAIN_OF_WIDTH} points worse: it could be the teacher."]
    return lines


def seeds(values: list[float]) -> str:
    """Mean and range."""
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
