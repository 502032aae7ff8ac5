"""What a calibration set covers, as `coverage.json` for programs and one self-contained page for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.report.range_figures import range_svg
from edge.report.table import human_count
from edge.runtime.atomic import atomic_file
from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.calibration.coverage import Coverage
    from edge.calibration.tensor_range import TensorRange

JSON_NAME = "coverage.json"
HTML_NAME = "coverage.html"
_TEMPLATES = Path(__file__).parent / "templates"


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
    jinja2 = require_module("jinja2")
    markup = jinja2.utils.markupsafe.Markup
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=human_count, words=_words, share=_share)
    view: dict[str, Any] = {
        "coverage": coverage,
        "css": markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        "figures": {n: markup(range_svg(ranges[n], t.ceiling, n)) for n, t in coverage.tensors.items()},
        "most": max(coverage.states.values(), default=1),
    }
    text: str = environment.get_template("coverage.html.j2").render(**view)
    return text


def _words(name: str) -> str:
    return name.replace("_", " ").replace("+", " + ")


def _share(value: float) -> str:
    """A share in per cent: three digits, and never 0 for what is not nothing."""
    return f"{100 * value:.3g} %"


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
