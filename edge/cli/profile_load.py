"""What `edge profile --load` does: raises the load, writes `load.json` and prints a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from edge.cli.quiet_status import status_line
from edge.profile.load.rising_load import run_load
from edge.profile.load.table import load_table, load_words, miss_lines
from edge.profile.subjects.opening import is_bundle
from edge.run_engine import open_engine
from edge.runtime.atomic import atomic_file
from edge.runtime.bundle import Bundle
from edge.runtime.engines.tensorrt import RunnerConfig
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.profile.load.config import LoadConfig
    from edge.profile.load.contents import LoadReport, LoadStep
    from edge.profile.measuring import ProfileOrder

LOAD_NAME = "load.json"


def raise_load(subjects: Sequence[Path], order: ProfileOrder, config: LoadConfig, out: Path, *, as_json: bool) -> None:
    """Searches the rate that a bundle sustains, and reports it.

    Raises:
        ConfigError: Not one bundle, or a source is named.
        EdgeError: It does not load, or fails.
    """
    if len(subjects) != 1 or not is_bundle(subjects[0]):
        raise ConfigError("--load takes one bundle, which is what streams are fed to", "name a bundle's folder")
    if order.opened.sources:
        raise ConfigError("--load brings sensors of its own", "leave --source out")
    opened = order.opened
    bundle = Bundle.open(subjects[0], order.trust)
    runner = RunnerConfig(device=opened.device)
    engine = open_engine(bundle, opened.dialect, opened.threads, opened.engine, runner)
    with status_line(f"Raising the load of {subjects[0].name}", quiet=as_json) as show:

        def tell(step: LoadStep) -> None:
            show(f"{step.figures.asked_hz:.4g} Hz {'missed' if step.misses else 'sustained'}")

        report = run_load(bundle, config, engine, on_step=tell)
    _write(report, out)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
        return
    _print(report, out)


def _write(report: LoadReport, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with atomic_file(out / LOAD_NAME) as draft:
        draft.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")


def _print(report: LoadReport, out: Path) -> None:
    console = Console()
    console.print(load_table(report))
    for note in (*miss_lines(report), load_words(report), *report.notes):
        console.print(note, highlight=False, markup=False)
    console.print(f"Report: {out / LOAD_NAME}", highlight=False)
