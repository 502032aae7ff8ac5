"""What a calibration set covers, as `coverage.json` for programs and one self-contained page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.report.page_templates import page_environment, shared_css, trusted_markup
from edge.report.range_figures import range_svg
from edge.report.table import human_count
from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.calibration.coverage import Coverage
    from edge.calibration.tensor_range import TensorRange

JSON_NAME = "coverage.json"
HTML_NAME = "coverage.html"


def write_coverage(coverage: Coverage, ranges: Mapping[str, TensorRange], out: Path) -> None:
    """Writes `out/coverage.json` and `out/coverage.html`; both are made before either is put in place.

    Args:
        coverage: What is covered.
        ranges: By the names that `coverage` has.
        out: Folder.

    Raises:
        MissingDependencyError: jinja2 is absent.
    """
    page = render_coverage(coverage, ranges)
    _write(out / JSON_NAME, coverage.model_dump_json(by_alias=True, indent=1) + "\n")
    _write(out / HTML_NAME, page)


def render_coverage(coverage: Coverage, ranges: Mapping[str, TensorRange]) -> str:
    """The page: no script, no font, no picture from anywhere else.

    Raises:
        MissingDependencyError: jinja2 is absent.
    """
    environment = page_environment(count=human_count, share=_share)
    view: dict[str, Any] = {
        "coverage": coverage,
        "css": shared_css(),
        "figures": {n: trusted_markup(range_svg(ranges[n], t.ceiling, n)) for n, t in coverage.tensors.items()},
        "most": max(coverage.states.values(), default=1),
    }
    text: str = environment.get_template("coverage.html.j2").render(**view)
    return text


def _share(value: float) -> str:
    """A share in per cent: three digits, and never 0 for what is not nothing."""
    return f"{100 * value:.3g} %"


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
