"""results_chain.md from the result file."""

from __future__ import annotations

from statistics import mean
from typing import Any

from chain_results import MEAN, PRUNED, STUDENT, TEACHER
from tables import figure, table

Result = dict[str, Any]
INTRODUCTION = """# The whole chain, and Torch-Pruning at the same latency

Written by `python benchmarks/compression/chain.py examples/av_digits/plain.yaml`. Project *{project}*, seeds {seeds};
{test_samples:,} test samples of {recordings:,} recordings, never seen in training. The student is taught by the
teacher; each pruner cuts that student to {share} of its FP32 latency as timed on this machine (the whole 95 % interval
below it), with the same Taylor batches, alignment and fine-tuning under the teacher; ours picks one of several plans of
that latency by a short training first. Latency is the thread's own time
for one inference in ONNX Runtime, one thread, all graphs in turns: how many times as fast as the teacher and as the
student, mean of the seeds, least and largest.
"""
LOSSES = """Points lost from the first to the second, paired over the samples of all seeds; 95 % interval of a bootstrap
over recordings. Below zero the second is better.
"""
RIVALS = """Our plans of that latency, by the limit of what a group of channels may lose, and with the same share taken
of all: loss on recordings held back, after the short training. The least was taken; plans that came out alike count
once.
"""
NO_VNNI = """This host has no VNNI ({cpu}): INT8 gains no speed here, and its kernels saturate; scores are of the
functions that the graphs say. Speed of the last row says nothing of hosts with VNNI, or of boards."""


def write(result: Result) -> str:
    """The page."""
    states = list(result["sides"][TEACHER][0]["score"])
    lines = [INTRODUCTION.format(**{**result, "seeds": ", ".join(map(str, result["seeds"]))})]
    rows = [[name, *_cells(seeds, states)] for name, seeds in result["sides"].items()]
    head = ["", *states, "parameters", "MACs", "weight bytes", "over teacher", "over student"]
    lines += [*table(head, rows), LOSSES]
    columns = [*states, MEAN]
    rows = [[pair, *(_interval(of[column]) for column in columns)] for pair, of in result["lost"].items()]
    lines += table(["", *columns], rows)
    lines += _rivals(result)
    environment = result["environment"]
    if not any("vnni" in flag for flag in environment["cpu_flags"]):
        lines.append(NO_VNNI.format(cpu=environment["cpu"]))
    return "\n".join(lines).rstrip() + "\n"


def _rivals(result: Result) -> list[str]:
    """What every plan of the latency lost after its short training, by seed; the least was taken."""
    found = [{r["path"]: r["loss"] for r in side["latency"]["rivals"]} for side in result["sides"][PRUNED]]
    names = sorted({name for losses in found for name in losses})
    rows = [
        [str(seed), *(f"{losses[name]:.3f}" if name in losses else "" for name in names)]
        for seed, losses in zip(result["seeds"], found, strict=True)
    ]
    return [RIVALS, *table(["seed", *(name.replace("_", " ") for name in names)], rows)]


def _cells(seeds: list[Result], states: list[str]) -> list[str]:
    scores = [_spread([s["score"][state] for s in seeds], 2) for state in states]
    sizes = [figure(mean(s[key] for s in seeds) / unit) + name for key, unit, name in _UNITS]
    return [*scores, *sizes, *(_speed(seeds, key) for key in (TEACHER, STUDENT))]


_UNITS = (("params", 1e3, " k"), ("macs", 1e6, " M"), ("weight_bytes", 1e3, " kB"))


def _speed(seeds: list[Result], base: str) -> str:
    ratios = [s["over"][base]["ratio"] for s in seeds if base in s["over"]]
    return f"{_spread(ratios, 2)}x" if ratios else ""


def _spread(values: list[float], digits: int) -> str:
    return f"{mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _interval(of: Result) -> str:
    return f"{of['estimate']:+.2f} [{of['low']:+.2f}, {of['high']:+.2f}]"
