"""Fills the result tables of the README from a demo's report and the benchmarks, so that no figure is typed by hand.

Run: python docs/fill_readme.py [--demo runs/demo/report.json]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from compression_table import compression_text

from edge.report import read_report
from edge.report.contents import ALL, SCORE
from edge.report.table import human_bytes, human_count
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.report import Headline, Report, StageReport

README = Path(__file__).resolve().parents[1] / "README.md"
RESULTS = README.parent / "benchmarks" / "results"
DEMO, RUNTIME, COMPRESSION = "demo-results", "runtime-results", "compression-results"
SIDES = {"edge": "edge", "ROS C++": "ROS C++", "ROS Python": "ROS Python", "embodied-sync": "embodied-sync"}
HEADER = ("stage", "parameters", "MACs", "graph file", "latency p50", "score, all sensors", "worst state")


def main(
    demo: Annotated[Path | None, typer.Option(help="The report.json of `edge demo`; None leaves its table.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the benchmarks' results.")] = RESULTS,
    readme: Annotated[Path, typer.Option(help="The file to fill.")] = README,
) -> None:
    """Replaces what stands between the markers."""
    try:
        if demo is not None:
            fill(readme, DEMO, results_text(read_report(demo)))
        matching, preprocessing = (
            read_result(results / name, "make bench") for name in ("synchronize.json", "preprocessing.json")
        )
        fill(readme, RUNTIME, runtime_text(matching, preprocessing))
        quantizers = read_result(results / "compression.json", "make bench-compress")
        fill(readme, COMPRESSION, compression_text(quantizers))
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


def runtime_text(matching: dict[str, Any], preprocessing: dict[str, Any]) -> str:
    """Matching beside the peers, on the streams that they were measured on, and preprocessing in a sentence."""
    cost = next(c for c in matching["cost"] if (c["streams"], c["scenario"]) == ("driver", "nominal"))["sides"]
    rows = {(r["scenario"], r["side"]): r for r in matching["rows"] if r["streams"] == "driver"}
    sides = [side for side in SIDES if side in cost]
    lines = [
        ("camera, lidar, audio", *(SIDES[side] for side in sides)),
        ("---", *["---:"] * len(sides)),
        ("a message, algorithm alone", *(f"{cost[side]['median']:.2f} us" for side in sides)),
        ("added wait, mean", *(f"{rows['nominal', side]['wait_mean']:.2f} ms" for side in sides)),
        *(_silences(rows, name, label, sides) for name, label in _SCENARIOS),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    parts = {p["part"]: p["sides"] for p in preprocessing["parts"] if p["allocator"] == "as it comes"}
    ratios = [f"{parts[part][peer]['ratio']:.1f}x {peer} ({what})" for part, peer, what in _PREPROCESSING]
    kept = next(p for p in preprocessing["parts"] if p["part"] == "lidar" and p["allocator"] != "as it comes")
    ratios[0] += f", {kept['sides']['NumPy']['ratio']:.1f}x where NumPy's allocator keeps its pages"
    where = f"Measured on {matching['environment']['cpu']}, one thread, sides in turns. No figure of a board."
    return f"{table}\n\nPreprocessing is {', '.join(ratios)}. {where}"


_SCENARIOS = (
    ("lidar out 5 s of 20 s", "longest silence, lidar gone for 5 s"),
    ("lidar clock -5 s", "longest silence, lidar clock steps by -5 s"),
    ("5 % lost", "longest silence, 5 % of all messages lost"),
)
_PREPROCESSING = (
    ("lidar", "NumPy", "120,000 points into the camera's view"),
    ("sound", "librosa", "log-mel of a second"),
    ("sound", "kaldi-native-fbank", "the same"),
    ("image", "cv2 + NumPy", "a frame to the model's input"),
)


def _silences(rows: dict[tuple[str, str], Any], scenario: str, label: str, sides: list[str]) -> tuple[str, ...]:
    return (label, *(f"{rows[scenario, side]['silence'] / 1e3:.2f} s" for side in sides))


def read_result(path: Path, command: str) -> dict[str, Any]:
    """What a benchmark wrote.

    Args:
        path: The file.
        command: What writes it, for who lacks it.

    Raises:
        ConfigError: The file is missing or no JSON.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read", f"run {command} first") from error
    return found


def fill(readme: Path, marker: str, text: str) -> None:
    """Puts `text` between the markers of that name.

    Raises:
        ConfigError: The file has not exactly one pair of them.
    """
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    content = readme.read_text(encoding="utf-8")
    if content.count(start) != 1 or content.count(end) != 1 or content.index(start) > content.index(end):
        raise ConfigError(f"{readme} has no pair of {start} and {end}", "put both markers back, each once")
    before, after = content.split(start)[0], content.split(end)[1]
    with atomic_file(readme) as partial:
        partial.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


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
