"""The report as one self-contained HTML page: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.report.charts import latency_chart, score_chart
from edge.report.contents import ALL, SCORE, Report, states_of
from edge.report.layer_rows import precision_rows
from edge.report.machine_view import machine_rows
from edge.report.page_templates import DASH, milliseconds, page_environment, shared_css, trusted_markup
from edge.report.picture import data_uri, frame_png, logmel_png
from edge.report.table import human_bytes, human_count
from edge.report.timeline_view import strips_of
from edge.runtime.levels import LEVELS
from edge.runtime.statistics import minimum_samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.compress.gates.findings import GateFindings, LossFinding
    from edge.report.figures import FusedFrame, ReportFigures
    from edge.runtime.statistics import Distribution, Interval

_SMALLEST = 0.001
_PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")


def render_page(report: Report, figures: ReportFigures) -> str:
    """Renders the page.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is absent.
    """
    environment = page_environment(
        count=human_count,
        size=human_bytes,
        points=_points,
        row=_distribution_row,
        whole=_whole,
        signed=_signed,
        findings=_findings,
        range=_range,
        small=_small,
        shape=_shape,
        by_size=_by_size,
    )
    text: str = environment.get_template("report.html.j2").render(**_view(report, figures))
    return text


def standing_notes(report: Report) -> list[str]:
    """What a reader must know about these figures, whatever the run was."""
    host = report.environment
    notes = []
    if report.data:
        notes.append(f"Scores were measured on: {report.data}.")
    if report.stages:
        notes.append(
            "The score is 100 times the mean of its parts, detection and event F1 averaged over the classes; a "
            "classification task reports its accuracy in %. Every modality state is scored on the same samples, "
            "with the missing modalities removed and marked as absent."
        )
    if report.headline and report.headline.speed:
        notes.append(
            "Speed compares two graph files on this machine: both ran alternately in one process, the order of "
            f"each of {report.headline.speed.rounds} rounds drawn by a seed. The ratio is the median over the "
            "rounds, the interval a 95 % bootstrap of that median."
        )
    if any(stage.gate and stage.gate.recordings for stage in report.stages):
        notes.append(
            "Points lost against the stage before are differences on the same samples. Their 95 % intervals are "
            "bootstrapped over recordings, each drawn with all of its samples for both stages. A gate that can "
            "neither show that a loss is within its limit nor that it is beyond calls it undecided, and goes on."
        )
    if host.board is None:
        notes.append(
            f"All times are of this machine ({host.cpu}, {host.machine}). They are no figures of a Jetson or any "
            "other board, neither absolutely nor as ratios: integer kernels, memory and power limits differ."
        )
    notes.append(
        "A percentile that the sample cannot support at 95 % is left out: p99 needs "
        f"{minimum_samples(0.99):,} samples, p99.9 needs {minimum_samples(0.999):,}."
    )
    return notes


def _view(report: Report, figures: ReportFigures) -> dict[str, Any]:
    return {
        "report": report,
        "css": shared_css(),
        "states": states_of(report.stages),
        "heat": _heat(report),
        "lost": _lost(report),
        "first": report.stages[0] if report.stages else None,
        "last": next((stage for stage in reversed(report.stages) if not stage.refused), None),
        "judged": [stage for stage in report.stages if stage.gate],
        "planned": [(stage, precision_rows(stage.precision)) for stage in report.stages if stage.precision],
        "pruned": [stage for stage in report.stages if stage.pruning],
        "taught": [stage for stage in report.stages if stage.loss_parts],
        "score_svg": trusted_markup(score_chart(report.stages)) if report.stages else None,
        "latency_svg": trusted_markup(_latencies(report, figures)),
        "frames": [_frame_view(frame) for frame in figures.frames],
        "notes": [*report.notes, *standing_notes(report)],
        "percentiles": _PERCENTILES,
        "strips": strips_of(report.runtime) if report.runtime else None,
        "machine_rows": machine_rows(report.machine) if report.machine else [],
        "LEVELS": LEVELS,
        "ALL": ALL,
        "SCORE": SCORE,
    }


def _latencies(report: Report, figures: ReportFigures) -> str:
    if report.headline is None or figures.first_ms is None or figures.last_ms is None:
        return ""
    return latency_chart(figures.first_ms, figures.last_ms, (report.headline.first, report.headline.last))


def _heat(report: Report) -> dict[str, dict[str, float]]:
    """Share of the way from the lowest to the highest score of the table, for the shading."""
    scores = [m[SCORE] for stage in report.stages for m in stage.metrics.values()]
    low, span = min(scores, default=0.0), max(max(scores, default=1.0) - min(scores, default=0.0), 1e-9)
    return {s.name: {state: (m[SCORE] - low) / span for state, m in s.metrics.items()} for s in report.stages}


def _lost(report: Report) -> dict[str, Any] | None:
    """Points lost with everything present, and the state that lost most."""
    points = report.headline.points_lost if report.headline else {}
    if not points:
        return None
    worst = max(points, key=lambda state: points[state])
    return {"shown": points.get(ALL, points[worst]), "worst": worst, "worst_points": points[worst]}


def _frame_view(frame: FusedFrame) -> dict[str, Any]:
    found = ", ".join(f"{d.class_name} at {d.distance_m:.1f} m" for d in frame.detections) or "no detection"
    heard = ", ".join(event.class_name for event in frame.events) or "no event"
    return {
        "src": data_uri(frame_png(frame)),
        "alt": f"Camera image with lidar points coloured by depth; found: {found}; heard: {heard}.",
        "sound": data_uri(logmel_png(frame.logmel)) if frame.logmel is not None else None,
        "sound_alt": f"Log-mel spectrogram of the audio window; heard: {heard}.",
        "window_s": frame.audio_window_s,
        "events": frame.events,
        "detections": frame.detections,
        "caption": frame.caption,
    }


def _points(value: float, digits: int = 2, sign: str = "") -> str:
    rounded = round(value, digits) or 0.0  # never minus zero
    return f"{rounded:{sign}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _whole(value: int | None) -> str:
    return DASH if value is None else f"{value:,}"


def _signed(value: float | None) -> str:
    return DASH if value is None else _points(value, 2, "+")


def _distribution_row(distribution: Distribution) -> list[str]:
    values = distribution.to_json()
    return [f"{distribution.n:,}", *(milliseconds(values[key]) for key in _PERCENTILES)]


def _findings(gate: GateFindings) -> list[LossFinding]:
    """What was limited, and the score in every state; the rest is in report.json."""
    return [finding for finding in gate.losses if finding.limit is not None or finding.metric == SCORE]


def _range(interval: Interval | None) -> str:
    if interval is None:
        return DASH
    return f"{_points(interval.low, sign='+')} to {_points(interval.high, sign='+')}"


def _small(value: float | None) -> str:
    """Two digits, of what is not lost beside the others; report.json has the rest."""
    if value is None:
        return DASH
    return f"{value:.2g}" if value >= _SMALLEST or not value else f"< {_SMALLEST:g}"


def _shape(sizes: Sequence[int]) -> str:
    return "\N{THIN SPACE}\N{MULTIPLICATION SIGN}\N{THIN SPACE}".join(map(str, sizes))


def _by_size(parts: Mapping[str, float]) -> list[str]:
    """Names, the largest part first."""
    return sorted(parts, key=lambda name: -parts[name])
