"""Fills the tables of the pages from what the benchmarks wrote, so that no figure is typed by hand.

Run: python docs/fill.py [PAGE ...]; all of them by default. Figures of examples come by fill_examples.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from calibration_table import selection_text
from compiling_table import table_text as engine_bytes_text
from compression_table import compression_text
from estimate_tables import constants_text, errors_text
from filling import fill, read_result
from live_view_table import cost_text
from profiling_tables import profiler_text
from readme_tables import results_text, runtime_text
from realtime_table import realtime_text

from edge.report import read_report
from edge.runtime.errors import ConfigError, EdgeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import absent_training
import distillation_tables
import fusion_kinds_tables
import pretraining_tables
import single_modality

ROOT = Path(__file__).resolve().parents[1]
DOCS, RESULTS, README = ROOT / "docs", ROOT / "benchmarks" / "results", ROOT / "README.md"

# From the results, in the order of their files, to the texts of a page by marker.
Texts = Callable[[Sequence[dict[str, Any]]], Mapping[str, str]]


@dataclass(frozen=True)
class Page:
    """A page that figures stand in.

    Attributes:
        path: The file.
        results: Files of benchmarks/results, or patterns of them.
        command: What writes these, for who lacks them.
        texts: What stands between the markers.
    """

    path: Path
    results: tuple[str, ...]
    command: str
    texts: Texts


def of_one(marker: str, text: Callable[[dict[str, Any]], str]) -> Texts:
    """A text from one result."""
    return lambda found: {marker: text(found[0])}


def of_each(marker: str, text: Callable[[dict[str, Any]], str]) -> Texts:
    """A text for each result, one below the other."""
    return lambda found: {marker: "\n\n".join(map(text, found))}


def _lines(report: Callable[[Any], list[str]]) -> Callable[[Any], str]:
    return lambda found: "\n".join(report(found)).strip()


def pretraining_text(field: dict[str, Any]) -> str:
    """The tables of a field, under its name."""
    return _lines(lambda found: [f"**{found['project']}**", "", *pretraining_tables.report(found)])(field)


def fusion_text(found: dict[str, Any]) -> str:
    """The tables of all projects."""
    return _lines(fusion_kinds_tables.report)(found["projects"])


def estimate_texts(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Constants, and what the estimates are off by."""
    return {"estimate-constants": constants_text(found[0]["constants"]), "estimate-errors": errors_text(found[0])}


def training_texts(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Ways to train for what may be missing, and each modality beside a model of its own."""
    ways, single = ([one for one in found if key in one] for key in ("gains", "modalities"))
    return {
        **of_each("absent_training", _lines(absent_training.report))(ways),
        **of_each("single_modality", _lines(single_modality.report))(single),
    }


def readme_texts(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The runtime and the quantizers beside their peers."""
    matching, preprocessing, quantizers = found
    return {
        "runtime-results": runtime_text(matching, preprocessing),
        "compression-results": compression_text(quantizers),
    }


PAGES = {
    "calibration": Page(
        DOCS / "calibration.md",
        ("calibration_selection.json",),
        "python benchmarks/calibration_selection.py CHECKPOINT",
        of_one("calibration", selection_text),
    ),
    "compiling": Page(
        DOCS / "compiling.md",
        ("engine_bytes.json",),
        "python benchmarks/engine_bytes.py",
        of_one("engine-bytes", engine_bytes_text),
    ),
    "distillation": Page(
        DOCS / "distillation.md",
        ("distillation.json",),
        "python benchmarks/distillation.py PROJECT.yaml",
        of_one("distillation", _lines(distillation_tables.report)),
    ),
    "estimate": Page(DOCS / "estimate.md", ("estimate.json",), "python benchmarks/estimate.py", estimate_texts),
    "fusion": Page(
        DOCS / "fusion.md",
        ("fusion_kinds.json",),
        "python benchmarks/fusion_kinds.py PROJECT.yaml",
        of_one("fusion", fusion_text),
    ),
    "live_view": Page(
        DOCS / "live_view.md",
        ("live_view.json",),
        "python benchmarks/live_view.py BUNDLE",
        of_one("live-view-cost", cost_text),
    ),
    "pretraining": Page(
        DOCS / "pretraining.md",
        ("pretraining_*.json",),
        "python benchmarks/pretraining.py PROJECT.yaml",
        of_each("pretraining", pretraining_text),
    ),
    "profiling": Page(
        DOCS / "profiling.md", ("profiler.json",), "make bench-profile", of_one("profiler", profiler_text)
    ),
    "readme": Page(
        README,
        ("synchronize.json", "preprocessing.json", "compression.json"),
        "make bench and make bench-compress",
        readme_texts,
    ),
    "realtime": Page(
        DOCS / "realtime.md", ("realtime.json",), "python benchmarks/realtime.py", of_one("realtime", realtime_text)
    ),
    "training": Page(
        DOCS / "training.md",
        ("absent_training_*.json", "single_modality_*.json"),
        "python benchmarks/absent_training.py and single_modality.py, both on a PROJECT.yaml",
        training_texts,
    ),
}


def main(
    pages: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(PAGES)}; all by default.")] = None,
    demo: Annotated[Path | None, typer.Option(help="The report.json of an `edge demo`, for the README.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the benchmarks' results.")] = RESULTS,
) -> None:
    """Replaces what stands between the markers."""
    try:
        for name in pages or PAGES:
            fill_page(_find(name), results)
        if demo is not None:
            fill(README, "demo-results", results_text(read_report(demo)))
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def fill_page(page: Page, results: Path) -> None:
    """Puts a page's texts between its markers.

    Raises:
        ConfigError: A result is missing, or the page has not its markers.
    """
    files = [path for pattern in page.results for path in sorted(results.glob(pattern)) or [results / pattern]]
    for marker, text in page.texts([read_result(path, page.command) for path in files]).items():
        fill(page.path, marker, text)


def _find(name: str) -> Page:
    if name not in PAGES:
        raise ConfigError(f"there is no page '{name}'", f"choose of {', '.join(PAGES)}")
    return PAGES[name]


if __name__ == "__main__":
    typer.run(main)
