"""Every table of a page is what its benchmark's committed result gives, and what cannot be filled is said."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    *("calibration", "compiling", "distillation", "estimate", "fusion", "live_view", "pretraining", "profiling"),
    *("readme", "realtime", "training"),
)


@pytest.fixture(scope="module")
def pages() -> Iterator[Any]:
    sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "benchmarks")]
    try:
        yield importlib.import_module("fill")
    finally:
        del sys.path[:2]


def test_all_pages_are_known(pages: Any) -> None:
    assert tuple(sorted(pages.PAGES)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_what_was_measured(pages: Any, name: str, tmp_path: Path) -> None:
    page = pages.PAGES[name]
    copy = tmp_path / page.path.name
    copy.write_bytes(page.path.read_bytes())
    pages.fill_page(replace(page, path=copy), pages.RESULTS)
    assert copy.read_text(encoding="utf-8") == page.path.read_text(encoding="utf-8")


def test_a_missing_result_names_what_writes_it(pages: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pretraining_\*\.json cannot be read.*benchmarks/pretraining\.py"):
        pages.fill_page(pages.PAGES["pretraining"], tmp_path)


def test_a_page_without_its_markers_is_left_as_it_is(pages: Any, tmp_path: Path) -> None:
    bare = tmp_path / "fusion.md"
    bare.write_text("# Fusions\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no pair of <!-- fusion --> and"):
        pages.fill_page(replace(pages.PAGES["fusion"], path=bare), pages.RESULTS)
    assert bare.read_text(encoding="utf-8") == "# Fusions\n"


def test_an_unknown_page_ends_in_one_line(pages: Any) -> None:
    typer = importlib.import_module("typer")
    app = typer.Typer()
    app.command()(pages.main)
    found = CliRunner().invoke(app, ["fusions"])
    assert found.exit_code == ConfigError.exit_code
    assert found.output.strip().startswith("there is no page 'fusions'; choose of calibration, ")
