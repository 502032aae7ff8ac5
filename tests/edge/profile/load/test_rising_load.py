"""The search on a small bundle in the live runtime, short; its report and its table."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from typer.testing import CliRunner

from edge.cli import app
from edge.profile.load.config import LoadConfig
from edge.profile.load.contents import LoadReport, LoadStep, Saturation
from edge.profile.load.rising_load import run_load
from edge.profile.load.table import load_table, load_words, miss_lines
from edge.run_engine import RunEngine, open_engine
from edge.runtime.bundle import Bundle
from edge.runtime.errors import EdgeError, ModelError

SHORT = LoadConfig(cameras=2, lidars=2, seconds=1.0, settle_s=0.3, most=1.0, tolerated=0.9)


class BreakingEngine:
    """Warms up and then fails."""

    name = "breaking"
    runs = 0

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.runs += 1
        if self.runs > 1:
            raise ModelError("out of memory", "free some")
        return {}


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


@pytest.fixture
def report(bundle: Bundle) -> LoadReport:
    return run_load(bundle, SHORT, open_engine(bundle))


def test_one_step_at_the_rigs_rates(bundle: Bundle) -> None:
    seen: list[LoadStep] = []
    before = logging.getLogger("edge.runtime.health").level
    report = run_load(bundle, SHORT, open_engine(bundle), on_step=seen.append)
    (step,) = report.steps
    figures = step.figures
    assert seen == [step] and figures.asked_hz == 10
    assert 5 <= figures.sets <= 11
    assert figures.utilisation.keys() >= {"producer", "inference", "cores"}
    assert all(share >= 0 for share in figures.utilisation.values())
    assert 0 < figures.utilisation["producer"] < 1
    assert {"sync_wait", "queue", "preprocess", "engine", "decode"} <= figures.stages_ms.keys()
    assert report.streams_hz.keys() == {"camera", "lidar", "audio", "camera_2", "lidar_2"}
    assert any("camera_2, lidar_2 are matched and not read" in note for note in report.notes)
    assert logging.getLogger("edge.runtime.health").level == before
    assert LoadReport.model_validate(report.to_json()) == report


def rendered(report: LoadReport) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(load_table(report))
    return console.export_text()


def test_the_table_names_what_is_full(report: LoadReport) -> None:
    step = report.steps[0]
    missed = LoadStep(figures=step.figures.model_copy(update={"factor": 2.0, "asked_hz": 20.0}), misses=("too slow",))
    found = report.model_copy(
        update={
            "steps": (missed, step),
            "sustained_hz": 10.0,
            "missed_hz": 20.0,
            "saturated": Saturation(resource="inference", stage="engine", utilisation=1.07, is_full=True),
        }
    )
    text = rendered(found)
    assert load_words(found) == "Sustained: 10 Hz; 20 Hz misses. Full first: inference, most of it engine, at 107%."
    assert "2 cameras, 2 lidars" in text
    rows = [line.split() for line in text.splitlines() if line.strip()[:2] in ("10", "20")]
    assert [row[0] for row in rows] == ["10", "20"]  # by rate, whatever the order of the search
    assert rows[1][-1] == "missed" and rows[0][-1] != "missed"
    assert list(miss_lines(found)) == ["20 Hz missed: too slow."]


def test_outcomes_are_worded(report: LoadReport) -> None:
    near = Saturation(resource="cores", stage="cores", utilisation=0.6, is_full=False)
    none = report.model_copy(update={"sustained_hz": None, "missed_hz": 10.0, "saturated": near})
    assert load_words(none).startswith(
        "No rate was sustained, from 10 Hz on. Nothing is full; nearest is cores, at 60%"
    )
    assert load_words(report.model_copy(update={"missed_hz": None, "sustained_hz": 10.0})).startswith(
        "Sustained up to 10"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model.onnx"], "--load takes one bundle"),
        (["BUNDLE", "BUNDLE"], "--load takes one bundle"),
        (["BUNDLE", "--source", "sim"], "--load brings sensors of its own"),
    ],
)
def test_what_load_cannot_take_is_one_line(small_bundle: Path, arguments: list[str], told: str) -> None:
    given = [str(small_bundle) if one == "BUNDLE" else one for one in arguments]
    found = CliRunner().invoke(app, ["profile", *given, "--load"])
    assert found.exit_code != 0
    assert told in str(found.exception or found.output)


def test_the_command_writes_and_prints_the_report(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edge.cli.profile_load.run_load",
        lambda bundle, config, engine, on_step: run_load(
            bundle, SHORT.model_copy(update={"cameras": config.cameras}), engine, on_step=on_step
        ),
    )
    out = tmp_path / "load"
    found = CliRunner().invoke(app, ["profile", str(small_bundle), "--load", "--cameras", "1", "--out", str(out)])
    assert found.exit_code == 0, found.output
    written = LoadReport.model_validate(json.loads((out / "load.json").read_text()))
    assert written.config.cameras == 1
    assert "1 camera, 2 lidars" in found.output


def test_an_engine_that_breaks_ends_the_search(bundle: Bundle) -> None:
    engine = BreakingEngine()
    with pytest.raises(EdgeError, match="out of memory"):
        run_load(bundle, SHORT, RunEngine(engine, "asked for"))
    assert engine.runs >= 4  # once to warm up, and three failures in a row
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edge-")]
