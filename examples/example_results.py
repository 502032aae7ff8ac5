"""What came of an example: a table of its stages, and how often its bundle was right on streams."""

from __future__ import annotations

import bisect
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.report.contents import states_of
from edge.report.publish import read_report
from edge.report.table import human_count
from edge.runtime.bundle import Bundle
from edge.runtime.sources.manifest_source import ManifestSource, manifest_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.report.contents import StageReport


class Streamed(NamedTuple):
    """How often a bundle was right on streams.

    Attributes:
        state: What was present, by the runtime's name for it.
        right: Results that name the right class.
        count: Results in that state.
    """

    state: str
    right: int
    count: int


def stage_rows(report: Path) -> list[str]:
    """The stages of a `report.json` as a table in Markdown: size, latency, score in % in each state."""
    stages = read_report(report).stages
    states = states_of(stages)
    names = ("stage", "parameters", "file", "latency", *(state.replace("_", " ") for state in states))
    lines = [_line(names), _line(["---", *["---:"] * (len(names) - 1)])]
    return lines + [_line(_stage_cells(stage, states)) for stage in stages]


def machine_line(report: Path) -> str:
    """What the figures were measured on, in a sentence or two."""
    found = read_report(report)
    return f"Scores in %: {found.data}. Latency: one thread of {found.environment.cpu}."


def streamed_rows(streamed: Sequence[Streamed]) -> list[str]:
    """The results on streams as a table in Markdown, the most frequent state first."""
    lines = [_line(("present", "results", "right")), _line(("---", "---:", "---:"))]
    ordered = sorted(streamed, key=lambda row: -row.count)
    return lines + [_line((r.state, f"{r.count}", f"{100 * r.right / r.count:.1f} %")) for r in ordered]


def streamed_accuracy(bundle: Path, results: Path, source: str, label: str) -> list[Streamed]:
    """Holds each result against the label of the row that was replayed at its instant.

    Args:
        bundle: Folder of the bundle.
        results: `results.jsonl` of its run.
        source: The `manifest:...` that it ran on.
        label: Column of the right answer.
    """
    truth = _Truth(bundle, source, label)
    counts: dict[str, list[int]] = {}
    for text in results.read_text(encoding="utf-8").splitlines():
        result = json.loads(text)
        expected = truth.at(result["stamp_ns"])
        if expected is None:
            continue
        named = [event["class"] for event in result["events"]]
        right, count = counts.setdefault(result["state"], [0, 0])
        counts[result["state"]] = [right + (named == [expected]), count + 1]
    return [Streamed(state, right, count) for state, (right, count) in counts.items()]


class _Truth:
    """The right answer at any instant of a replay."""

    def __init__(self, bundle: Path, source: str, label: str) -> None:
        path, split = _parts(source)
        options = manifest_options(Bundle.open(bundle), [source])
        assert options is not None, "the source is a manifest"
        replayed = ManifestSource(path, options, split)
        with path.open(encoding="utf-8", newline="") as file:
            labels = {row["id"]: row[label] for row in csv.DictReader(file)}
        self._rows = sorted((stamp_ns, labels[name]) for stamp_ns, name in replayed.stamped)
        self._reach_ns = replayed.rig.stream(replayed.rig.anchor).period_ns // 2

    def at(self, stamp_ns: int) -> str | None:
        """The label of the row that is less than half a period away, if there is one."""
        place = bisect.bisect_left(self._rows, stamp_ns, key=lambda row: row[0])
        near = min(self._rows[max(0, place - 1) : place + 1], key=lambda row: abs(row[0] - stamp_ns), default=None)
        return near[1] if near is not None and abs(near[0] - stamp_ns) < self._reach_ns else None


def _parts(source: str) -> tuple[Path, str | None]:
    name, *words = source.removeprefix("manifest:").split(",")
    options = dict(word.split("=") for word in words)
    return Path(name), options.get("split")


def _stage_cells(stage: StageReport, states: Sequence[str]) -> list[str]:
    latency = "-" if stage.latency_ms is None else f"{stage.latency_ms.p50:.3f} ms"
    scores = [f"{stage.metrics[state]['score']:.1f}" if state in stage.metrics else "-" for state in states]
    name = f"{stage.name} (refused)" if stage.refused else stage.name
    return [name, human_count(stage.params), f"{stage.bytes / 1000:,.0f} kB", latency, *scores]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
