"""The tables of the pretraining study, for the terminal and for docs/pretraining.md."""

from __future__ import annotations

from statistics import mean
from typing import Any

from tables import signed_interval, table

SCRATCH, LONGER, RECONSTRUCTED, ALIGNED = "from scratch", "as long from scratch", "reconstruction", "with alignment"
TITLES = {
    SCRATCH: "from scratch",
    LONGER: "from scratch, for as many samples as pretraining and training see",
    RECONSTRUCTED: "pretrained by reconstruction",
    ALIGNED: "pretrained with alignment",
}


def report(result: dict[str, Any]) -> list[str]:
    """What was measured, the scores, and the gains."""
    states = list(next(iter(result["scores"].values())))
    lines = [
        f"Labels of {result['labelled_recordings']} of {result['train_recordings']} recordings "
        f"({result['labelled_samples']} of {result['train_samples']} samples). Score on {result['scored_samples']} "
        f"{result['split']} samples of {result['scored_recordings']} recordings: mean of {result['seeds']} seed(s), "
        "and the least and the largest.",
        "",
    ]
    rows = [
        [TITLES[arm], _pretraining_seconds(result, arm), *(_spread(by_state[state]) for state in states)]
        for arm, by_state in result["scores"].items()
    ]
    lines += table(["", "pretraining", *states], rows)
    if not result["differences"]:
        return lines
    lines += ["Gains in points, paired; 95 % interval of a bootstrap over seeds and recordings.", ""]
    rows = [[name, *map(signed_interval, row.values())] for name, row in result["differences"].items()]
    headers = list(next(iter(result["differences"].values())))
    return lines + table(["", *headers], rows)


def _pretraining_seconds(result: dict[str, Any], arm: str) -> str:
    records = result["pretraining"].get(arm)
    return f"{mean(r['seconds'] for r in records):.0f} s" if records else "-"


def _spread(values: list[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
