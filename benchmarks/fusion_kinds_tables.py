"""The tables of the fusions' benchmark, for the terminal and for docs/fusion.md."""

from __future__ import annotations

from statistics import mean
from typing import Any

from tables import figure, table

KINDS = ("channel_mixing", "weighted_sum", "modality_attention", "cross_attention", "gated_residual")
BASELINE = KINDS[0]
LARGEST_LOSS = 0.5  # points that INT8 may cost in a state


def report(projects: dict[str, Any]) -> list[str]:
    """For each project what its fusions score, and which one to take."""
    lines = []
    for name, found in projects.items():
        lines += _of_project(name, found["conditions"], found["kinds"])
    return lines


def _of_project(name: str, conditions: dict[str, Any], kinds: dict[str, Any]) -> list[str]:
    states = list(next(iter(kinds.values()))["int8_score"])
    seeds = "one seed" if conditions["seeds"] == 1 else f"mean of {conditions['seeds']} seeds"
    lines = [
        f"**{name}**: {conditions['train_samples']} training samples, {conditions['epochs']} epochs, {seeds}; "
        f"{conditions['test_samples']} test samples. Score of the INT8 graph, in brackets the points that INT8 lost, "
        "with the 95 % interval over recordings where there is one seed.",
        "",
    ]
    rows = [[kind, *(_score(row, state) for state in states), _mean_and_spread(row)] for kind, row in kinds.items()]
    lines += table(["fusion", *states, "mean"], rows)
    lines += ["What it costs: one thread, ONNX Runtime, all graphs in turn; the ratio is of INT8 latencies.", ""]
    lines += table(
        ["fusion", "parameters", "million MACs", "FP32 ms", "INT8 ms", f"INT8 against {BASELINE}", "`edge check`"],
        [_costs(kind, row, kinds.get(BASELINE)) for kind, row in kinds.items()],
    )
    return [*lines, _choice(kinds), ""]


def _choice(kinds: dict[str, Any]) -> str:
    """The best, and of those whose seeds reach its own the one that is fastest."""
    scores = {kind: _seed_scores(row) for kind, row in kinds.items()}
    best = max(kinds, key=lambda kind: mean(scores[kind]))
    alike = [kind for kind in kinds if max(scores[kind]) >= min(scores[best])]
    text = f"Best in the mean of the states here: `{best}`."
    if len(alike) == 1 or len(scores[best]) == 1:
        return text
    fastest = min(alike, key=lambda kind: kinds[kind]["latency_ms"]["u8"])
    others = ", ".join(f"`{kind}`" for kind in alike if kind != best)
    return f"{text} Its seeds are reached by those of {others}; the fastest of all these is `{fastest}`."


def _score(row: dict[str, Any], state: str) -> str:
    lost = row["int8_loss"][state]
    told = f"{mean(found['estimate'] for found in lost):+.2f}"
    if len(lost) == 1:
        told += f"; {lost[0]['low']:+.2f} to {lost[0]['high']:+.2f}"
    return f"{mean(row['int8_score'][state]):.2f} ({told})"


def _mean_and_spread(row: dict[str, Any]) -> str:
    scores = _seed_scores(row)
    spread = "" if len(scores) == 1 else f" ({min(scores):.2f} to {max(scores):.2f})"
    return f"{mean(scores):.2f}{spread}"


def _seed_scores(row: dict[str, Any]) -> list[float]:
    """Mean of the states, seed by seed."""
    return [mean(states) for states in zip(*row["int8_score"].values(), strict=True)]


def _costs(kind: str, row: dict[str, Any], baseline: dict[str, Any] | None) -> list[str]:
    latency = row["latency_ms"]
    against = "-" if baseline is None else f"{latency['u8'] / baseline['latency_ms']['u8']:.2f}x"
    failed = {device: steps for device, steps in row["check"].items() if steps}
    verdict = "; ".join(f"{device}: {', '.join(steps)}" for device, steps in failed.items()) or "passes"
    costs = (row["macs"] / 1e6, latency["fp32"], latency["u8"])
    return [kind, f"{row['parameters']:,}", *map(figure, costs), against, verdict]
