"""The view's thread: it never holds up a run, drops all but the latest, and its failures are counted and its own."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from edge.runtime.bundle import Bundle
from edge.runtime.pipeline import SHOWN, Pipeline, RunSettings
from edge.runtime.sinks.jsonl import JsonlSink
from edge.runtime.sinks.rerun_view.colour_ramps import depth_colours, sound_colours
from edge.runtime.sinks.rerun_view.live_view import MOST_FAILURES, LiveView, Moment
from tests.runtime.test_pipeline import ScriptedEngine, ScriptedSource

if TYPE_CHECKING:
    from edge.runtime.fusion import Inference
    from edge.runtime.result import FusedResult

PATIENCE_S = 60.0


class Canvas:
    """A scene that keeps what it is to draw, and does what a test asks of it first."""

    def __init__(self) -> None:
        self.drawn: list[Moment] = []
        self.closed: list[bool] = []
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.failures = 0
        self.fails_to_close = False

    def draw(self, moment: Moment) -> None:
        self.entered.set()
        assert self.go.wait(PATIENCE_S)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the viewer is gone")
        self.drawn.append(moment)

    def close(self, *, complete: bool) -> None:
        self.closed.append(complete)
        if self.fails_to_close:
            raise OSError("no space left")


def pair(number: int) -> tuple[Inference, FusedResult]:
    """Stands for an inference and its result; the thread looks into neither."""
    return cast("Any", f"inference {number}"), cast("Any", number)


def numbers(canvas: Canvas) -> list[int]:
    return [cast("int", moment.result) for moment in canvas.drawn]


def test_a_slow_scene_gets_the_latest_and_the_run_goes_on(no_leak: None) -> None:
    canvas = Canvas()
    canvas.go.clear()
    view = LiveView(canvas, PATIENCE_S)
    view.show(*pair(0))
    assert canvas.entered.wait(PATIENCE_S)
    for number in range(1, 1001):  # nobody draws meanwhile, so this would never end if it waited
        view.show(*pair(number))
    assert view.counts == {"view:overrun": 999}
    canvas.go.set()
    view.close(complete=True)
    assert numbers(canvas) == [0, 1000] and canvas.closed == [True]
    assert view.counts == {"view:overrun": 999}


def test_failures_are_counted_and_logged_once_and_the_next_is_drawn(
    caplog: pytest.LogCaptureFixture, no_leak: None
) -> None:
    canvas = Canvas()
    canvas.failures, canvas.fails_to_close = 1, True
    view = LiveView(canvas, PATIENCE_S)
    with caplog.at_level(logging.ERROR):
        view.show(*pair(0))
        assert canvas.entered.wait(PATIENCE_S)
        while view.counts != {"view:error": 1}:
            threading.Event().wait(0.001)
        view.show(*pair(1))
        view.close(complete=True)
    assert numbers(canvas) == [1]
    assert view.counts == {"view:error": 2}
    assert len(caplog.records) == 1 and "viewer is gone" in caplog.text


def test_a_scene_that_only_fails_is_given_up(caplog: pytest.LogCaptureFixture, no_leak: None) -> None:
    canvas = Canvas()
    canvas.failures = MOST_FAILURES
    view = LiveView(canvas, PATIENCE_S)
    for number in range(MOST_FAILURES + 3):
        view.show(*pair(number))
        while view.counts != {"view:error": number + 1}:
            threading.Event().wait(0.001)
    view.close(complete=True)
    assert canvas.failures == 0 and canvas.drawn == [], "one more would have been drawn"
    assert [record for record in caplog.records if "given up" in record.message]
    assert canvas.closed == [True]


def test_a_scene_that_never_comes_back_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    canvas = Canvas()
    canvas.go.clear()
    view = LiveView(canvas, patience_s=0.05)
    view.show(*pair(0))
    assert canvas.entered.wait(PATIENCE_S)
    view.close(complete=True)
    assert view.counts == {"view:stuck": 1} and canvas.closed == []
    assert "has not come back" in caplog.text
    canvas.go.set()


def test_an_incomplete_run_draws_nothing_more_and_a_second_close_does_nothing(no_leak: None) -> None:
    canvas = Canvas()
    canvas.go.clear()
    view = LiveView(canvas, PATIENCE_S)
    view.show(*pair(0))
    assert canvas.entered.wait(PATIENCE_S)
    view.show(*pair(1))
    closing = threading.Thread(target=view.close, kwargs={"complete": False})
    closing.start()
    while view.counts != {"view:overrun": 1}:  # what waited is discarded first
        threading.Event().wait(0.001)
    canvas.go.set()
    closing.join()
    view.close(complete=True)
    view.show(*pair(2))
    assert numbers(canvas) == [0] and canvas.closed == [False]


@pytest.mark.parametrize("realtime", [False, True])
def test_a_run_gives_its_moments_and_does_not_mind_a_scene_that_fails(
    realtime: bool, small_bundle: Path, tmp_path: Path, no_leak: None
) -> None:
    canvas = Canvas()
    canvas.failures = 10**6
    view = LiveView(canvas, PATIENCE_S)
    seen: list[Moment] = []

    def show(inference: Inference, result: FusedResult) -> None:
        seen.append(Moment(inference, result))
        view.show(inference, result)

    sink = JsonlSink(tmp_path / "shown.jsonl")
    bundle = Bundle.open(small_bundle)
    settings = RunSettings(realtime=realtime)
    Pipeline(bundle, ScriptedSource(1.5), ScriptedEngine(), [sink], settings, on_fused=show).run()
    view.close(complete=True)
    lines = (tmp_path / "shown.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [moment.result.seq for moment in seen]
    assert sum(view.counts.values()) == len(seen) > 10
    for moment in seen:
        assert set(moment.result.present) <= set(moment.inference.synced.samples)


def test_the_view_changes_no_result_and_is_in_the_memory_plan(small_bundle: Path, tmp_path: Path) -> None:
    bundle, files, plans = Bundle.open(small_bundle), [], []
    for name, on_fused in (("bare", None), ("shown", lambda _inference, _result: None)):
        sink = JsonlSink(tmp_path / name)
        pipeline = Pipeline(bundle, ScriptedSource(2.0), ScriptedEngine(), [sink], on_fused=on_fused)
        plans.append({item.what.split(":")[0]: item.bytes for item in pipeline.plan_memory().items})
        pipeline.run()
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    lens = ScriptedSource(1.0).rig.intrinsics("camera")
    frame = lens.width * lens.height * 3
    assert plans[1]["camera"] - plans[0]["camera"] == SHOWN * frame


def test_depths_run_from_red_to_violet_and_beyond_the_range_stay_so() -> None:
    near, mid, far = depth_colours(np.array([2.0, 12.0, 80.0])).astype(int)
    assert near[0] > 2 * near[2] and far[2] > far[1] and mid[1] > max(near[1], far[1])
    assert (depth_colours(np.array([0.1, 500.0])) == depth_colours(np.array([2.0, 80.0]))).all()


def test_spectrograms_have_low_frequencies_below_and_brightness_grows() -> None:
    logmel = np.full((4, 3), -1.0, np.float32)
    logmel[0] = 1.0
    picture = sound_colours(logmel)
    assert picture.shape == (4, 3, 3) and picture.dtype == np.uint8
    assert picture[-1].min() > 100 and picture[0].max() < 10
    ramp = sound_colours(np.linspace(-1, 1, 50, dtype=np.float32)[None])[0].astype(int).sum(1)
    assert (np.diff(ramp) >= 0).all()
    assert sound_colours(np.array([[np.nan]], np.float32)).shape == (1, 1, 3)
