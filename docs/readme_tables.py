"""The tables of the README: what a demo gained, and the runtime beside its peers; as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.report.contents import ALL, SCORE
from edge.report.table import human_bytes, human_count
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge.report import Headline, Report, StageReport

SIDES = {"edge": "edge", "ROS C++": "ROS C++", "ROS Python": "ROS Python", "embodied-sync": "embodied-sync"}
HEADER = ("stage", "parameters", "MACs", "graph file", "latency p50", "score, all sensors", "worst state")


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
