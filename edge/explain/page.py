"""Writes `explain.json`, and the same as one self-contained page: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.explain.gap_wording import metric_words
from edge.explain.interval_bars import interval_chart
from edge.explain.recording_draws import Quantity
from edge.explain.sample_views import shown_samples
from edge.report.page_templates import DASH, page_environment, shared_css, trusted_markup
from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from edge.compress.samples import SampleSet
    from edge.explain.explaining import Explained
    from edge.explain.findings import Explanation
    from edge.runtime.model_io import ModelIO
    from edge.runtime.statistics import Interval

TEMPLATES = Path(__file__).parent / "templates"
JSON_NAME, HTML_NAME = "explain.json", "explain.html"
_STRONG = 0.35  # opacity of the strongest word


def write_explanation(explained: Explained, data: SampleSet, model_io: ModelIO, out: Path) -> None:
    """Writes `out/explain.json` and `out/explain.html`; both are made before either is put in place.

    Args:
        explained: All that was found.
        data: The split that it is of, for pictures.
        model_io: Says what each input is.
        out: Folder.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is absent.
    """
    page = render_explanation(explained, data, model_io)
    _write(out / JSON_NAME, explained.findings.model_dump_json(by_alias=True, indent=1) + "\n")
    _write(out / HTML_NAME, page)


def render_explanation(explained: Explained, data: SampleSet, model_io: ModelIO) -> str:
    """The page's text.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is absent.
    """
    findings = explained.findings
    environment = page_environment(
        TEMPLATES,
        points=_points,
        signed=lambda value: _points(value, "+"),
        span=_span,
        quantity=_quantity,
        metric=metric_words,
        word_style=_word_style,
        percent=lambda share: f"{100 * share:.3g} %",
    )
    attributions = findings.attributions
    samples = shown_samples(attributions.samples, explained.shown, data, model_io) if attributions else []
    view: dict[str, Any] = {
        "found": findings,
        "css": shared_css(),
        "charts": _charts(findings),
        "samples": samples,
        "confidence": f"{100 * findings.config.confidence:g} %",
    }
    text: str = environment.get_template("explain.html.j2").render(**view)
    return text


def _charts(findings: Explanation) -> dict[str, Any]:
    score, truth = findings.contributions
    charts = {
        "score": interval_chart(score.modalities, "score", "points of score"),
        "truth": interval_chart(truth.modalities, "truth", "points of probability of the truth"),
    }
    for finding in findings.bias:
        groups = {f"{g.group}{'' if g.judged else ' (too few)'}": g.score for g in finding.groups}
        charts[f"bias {finding.attribute}"] = interval_chart(groups, f"bias {finding.attribute}", "points of score")
    return {name: trusted_markup(chart) for name, chart in charts.items()}


def _points(value: float, sign: str = "") -> str:
    rounded = round(value, 2) or 0.0  # never minus zero
    return f"{rounded:{sign}.2f}".replace("-", "\N{MINUS SIGN}")


def _span(interval: Interval | None) -> str:
    return DASH if interval is None else f"{_points(interval.low)} to {_points(interval.high)}"


def _quantity(quantity: Quantity) -> str:
    return f"{_points(quantity.value)} ({_span(quantity.interval)})"


def _word_style(strength: float) -> str:
    return f"--v:{abs(strength) * _STRONG:.3f}"


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
