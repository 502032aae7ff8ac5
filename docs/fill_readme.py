"""Fills the results table of the README from the report of a demo, so that no figure is typed by hand.

Run: python docs/fill_readme.py runs/demo/report.json
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.report import read_report
from edge.report.contents import ALL, SCORE
from edge.report.table import human_bytes, human_count
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.report import Headline, Report, StageReport

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- demo-results -->", "<!-- /demo-results -->"
HEADER = ("stage", "parameters", "MACs", "graph file", "latency p50", "score, all sensors", "worst state")


def main(
    report: Annotated[Path, typer.Argument(help="The report.json of `edge demo`.")],
    readme: Annotated[Path, typer.Option(help="The file to fill.")] = README,
) -> None:
    """Replaces what stands between the two markers."""
    try:
        fill(readme, results_text(read_report(report)))
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def results_text(report: Report) -> str:
    """The table and the sentences below it, in Markdown.

    Raises:
        ConfigError: The report has no stages.
    """
    if report.headline is None:
        raise ConfigError("this report compares no stages", "pass the report.json of `edge demo`")
    rows = [HEADER, ("---",) + ("---:",) * (len(HEADER) - 1), *map(_row, report.stages)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    host = report.environment
    threads = ", ".join(f"{name} on {n} thread(s)" for name, n in host.threads.items()) or "default threads"
    where = f"Measured on {host.cpu} ({host.machine}, {threads}), data: {report.data}. No figure of a board."
    return f"{table}\n\n{_gain(report.headline)}\n{where}"


def fill(readme: Path, text: str) -> None:
    """Puts `text` between the markers.

    Raises:
        ConfigError: The file has not exactly one pair of markers.
    """
    content = readme.read_text(encoding="utf-8")
    if content.count(START) != 1 or content.count(END) != 1 or content.index(START) > content.index(END):
        raise ConfigError(f"{readme} has no pair of {START} and {END}", "put both markers back, each once")
    before, after = content.split(START)[0], content.split(END)[1]
    with atomic_file(readme) as partial:
        partial.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")


def _row(stage: StageReport) -> tuple[str, ...]:
    worst = min(stage.metrics, key=lambda state: stage.metrics[state][SCORE])
    p50 = stage.latency_ms.p50 if stage.latency_ms else None
    return (
        stage.name,
        human_count(stage.params),
        human_count(stage.macs),
        human_bytes(stage.bytes),
        f"{p50:.2f} ms" if p50 is not None else "not timed",
        f"{stage.metrics[ALL][SCORE]:.1f}" if ALL in stage.metrics else "not measured",
        f"{stage.metrics[worst][SCORE]:.1f} (`{worst}`)",
    )


def _gain(head: Headline) -> str:
    parts = [f"{head.size_ratio:.2f}x smaller"]
    if head.speed:
        low, high = head.speed.interval
        parts.insert(0, f"{head.speed.ratio:.2f}x faster (95 % interval {low:.2f} to {high:.2f})")
    if ALL in head.points_lost:
        parts.append(f"{head.points_lost[ALL]:.2f} points lost with all sensors")
    return f"From {head.first} to {head.last}: {', '.join(parts)}."


if __name__ == "__main__":
    typer.run(main)
