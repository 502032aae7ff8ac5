"""Writes `report.json` and `report.html`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.report.contents import Report
from edge.report.figures import ReportFigures
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

JSON_NAME = "report.json"
HTML_NAME = "report.html"


def write_report(report: Report, figures: ReportFigures, out: Path) -> None:
    """Writes `out/report.json` and the same as one self-contained page, `out/report.html`.

    Both are rendered before either is put in place, so a failure leaves what was there.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is absent; `write_report_json` needs neither.
    """
    from edge.report.page import render_page

    page = render_page(report, figures)
    write_report_json(report, out)
    _write_text(out / HTML_NAME, page)


def write_report_json(report: Report, out: Path) -> None:
    """Writes `out/report.json` alone, as a board does that has no plotting packages."""
    _write_text(out / JSON_NAME, json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n")


def read_report(path: Path) -> Report:
    """Reads and validates a `report.json`.

    Raises:
        ConfigError: It is missing, not JSON or not of schema 1; the message names the key.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})", "pass the path of a report.json") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "report"
        raise ConfigError(f"{path}: {where}: {first['msg']}", "write the report again with this version") from error


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
