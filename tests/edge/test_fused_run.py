"""What a run's report says beside the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.fused_run import ViewChoice, run_bundle
from edge.report.publish import JSON_NAME, read_report
from edge.runtime.bundle import Bundle
from edge.runtime.errors import ConfigError
from edge.runtime.sources.simulator import SimulatorSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample


class LedSource:
    """The simulated street with another anchor and another policy of the lidar."""

    description = "led"

    def __init__(self, anchor: str, lidar: str) -> None:
        self._street = SimulatorSource(seed=1, duration_s=0.5)
        rig = self._street.rig
        streams = {**rig.streams, "lidar": rig.stream("lidar").model_copy(update={"policy": lidar})}
        self.rig: Rig = rig.model_copy(update={"anchor": anchor, "streams": streams})

    def samples(self) -> Iterator[Sample]:
        return self._street.samples()


@pytest.mark.parametrize(
    ("anchor", "lidar", "told"), [("camera", "required", True), ("camera", "hold", False), ("lidar", "required", False)]
)
def test_a_required_stream_that_is_slower_than_the_anchor_is_told(
    small_bundle: Path, tmp_path: Path, anchor: str, lidar: str, told: bool
) -> None:
    run_bundle(Bundle.open(small_bundle), LedSource(anchor, lidar), tmp_path / "run")
    notes = read_report(tmp_path / "run" / JSON_NAME).notes
    note = "lidar (10 Hz, required) is slower than the anchor camera ("
    assert any(line.startswith(note) for line in notes) == told


@pytest.mark.parametrize(("rate_hz", "told"), [(30.0, True), (4.0, True), (11.0, False)])
def test_a_rate_that_is_not_the_rigs_is_told(small_bundle: Path, tmp_path: Path, rate_hz: float, told: bool) -> None:
    class Misdeclared:
        description = "misdeclared"

        def __init__(self) -> None:
            self._street = SimulatorSource(seed=1, duration_s=2.5)
            rig = self._street.rig
            lidar = rig.stream("lidar").model_copy(update={"rate_hz": rate_hz})
            self.rig = rig.model_copy(update={"streams": {**rig.streams, "lidar": lidar}})

        def samples(self) -> Iterator[Sample]:
            return self._street.samples()

    report = run_bundle(Bundle.open(small_bundle), Misdeclared(), tmp_path / "run")
    notes = read_report(tmp_path / "run" / JSON_NAME).notes
    assert any(line.startswith("lidar sends 10 samples a second, but the rig says") for line in notes) == told
    assert report.streams["lidar"].rate_hz == pytest.approx(10, rel=0.01)


def test_a_run_is_shown_in_a_file_and_what_was_not_is_counted(small_bundle: Path, tmp_path: Path) -> None:
    chunks = pytest.importorskip("rerun.chunk")
    bundle, source = Bundle.open(small_bundle), SimulatorSource(seed=1, duration_s=2.5)
    report = run_bundle(bundle, source, tmp_path / "run", view=ViewChoice(path=tmp_path / "view.rrd"))
    shown = chunks.RrdReader(tmp_path / "view.rrd").stream().collect()
    drawn = sum(chunk.num_rows for chunk in shown.stream() if str(chunk.entity_path) == "/level")
    assert drawn >= 1 and drawn + report.dropped.get("view:overrun", 0) == report.fused
    assert "view:error" not in report.dropped


def test_a_view_that_fails_is_in_the_report_and_ends_no_run(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rerun")

    def fail(_self: object, _moment: object) -> None:
        raise RuntimeError("the viewer is gone")

    monkeypatch.setattr("edge.fused_run.RerunScene.draw", fail)
    source = SimulatorSource(seed=1, duration_s=2.5)
    choice = ViewChoice(path=tmp_path / "view.rrd")
    report = run_bundle(Bundle.open(small_bundle), source, tmp_path / "run", view=choice)
    assert report.dropped["view:error"] + report.dropped.get("view:overrun", 0) == report.fused > 0
    notes = read_report(tmp_path / "run" / JSON_NAME).notes
    assert any(note.startswith(f"The view failed {report.dropped['view:error']} times") for note in notes)


def test_a_view_that_cannot_be_made_is_refused_before_anything_is_run(small_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    from typer.testing import CliRunner

    from edge.cli import app

    (tmp_path / "old.rrd").touch()
    out = tmp_path / "run"
    command = ["run", str(small_bundle), "--source", "sim", "--out", str(out), "--view-save", str(tmp_path / "old.rrd")]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, ConfigError) and "exists already" in str(done.exception)
    assert not out.exists()
