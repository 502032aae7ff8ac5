"""What rerun is given: every part of a moment, at its time, in a file that is there only when it is whole."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.packing.pack import pack_bundle
from edge.runtime import capabilities
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ConfigError, MissingDependencyError
from edge.runtime.pipeline import Pipeline
from edge.runtime.result import Decoded, Detection, Event
from edge.runtime.rig import Rig
from edge.runtime.sample import Image, PointCloud, Sample
from edge.runtime.sinks.rerun_view.live_view import Moment
from edge.runtime.sinks.rerun_view.output import ViewOutput, check_viewable
from edge.runtime.sinks.rerun_view.rerun_scene import MOST_POINTS, RerunScene
from tests.runtime.test_pipeline import ScriptedEngine, ScriptedSource
from tests.runtime.text_bundle import SAID, PlantSource, text_contents, text_rig

NO_DISPLAY: dict[str, str] = {}


@pytest.fixture
def reader() -> Any:
    pytest.importorskip("rerun")
    return pytest.importorskip("rerun.chunk")


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def moments(bundle: Bundle, seconds: float = 2.0, lost: str | None = None) -> tuple[list[Moment], Rig]:
    """Of a run in virtual time, from the first complete one on; of `lost` nothing comes in its second half."""

    def change(sample: Sample) -> Sample | None:
        return None if sample.stream == lost and sample.arrival_ns > seconds / 2 * 1e9 else sample

    found: list[Moment] = []
    source = ScriptedSource(seconds, change)
    pipeline = Pipeline(bundle, source, ScriptedEngine(), on_fused=lambda i, r: found.append(Moment(i, r)))
    pipeline.run()
    return [m for m in found if m.result.valid], pipeline.rig


def with_finds(moment: Moment) -> Moment:
    """As if the model had seen a car and heard a siren."""
    car = Detection("car", 0.75, (10.0, 20.0, 50.5, 60.0), 12.5, (12.0, 1.0, 0.5), "base")
    return moment._replace(result=replace(moment.result, decoded=Decoded((car,), (Event("siren", 0.9),))))


def saved(found: list[Moment], rig: Rig, bundle: Bundle, path: Path) -> None:
    scene = RerunScene(ViewOutput(window=False, path=path), rig, bundle.model_io)
    for moment in found:
        scene.draw(moment)
    scene.close(complete=True)


def columns(reader: Any, path: Path) -> dict[str, dict[str, list[Any]]]:
    """By entity and column, what was logged, in order."""
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for chunk in reader.RrdReader(path).stream().collect().stream():
        batch = chunk.to_record_batch()
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            is_time = str(column.type).startswith(("timestamp", "duration"))
            found[str(chunk.entity_path)][name] += (column.cast("int64") if is_time else column).to_pylist()
    return found


def test_a_moment_is_drawn_whole(bundle: Bundle, reader: Any, tmp_path: Path) -> None:
    found, rig = moments(bundle)
    found = [with_finds(moment) for moment in found if moment.result.state == "all"]
    saved(found, rig, bundle, tmp_path / "view.rrd")
    shown = columns(reader, tmp_path / "view.rrd")
    each_time = {
        "/cameras/camera": "EncodedImage:blob",
        "/cameras/camera/lidar": "Points2D:positions",
        "/cameras/camera/detections": "Boxes2D:labels",
        "/sounds/audio": "Image:buffer",
        "/latency/preprocess": "Scalars:scalars",
        "/latency/engine": "Scalars:scalars",
        "/latency/decode": "Scalars:scalars",
        "/latency/sync_wait": "Scalars:scalars",
        "/age/camera": "Scalars:scalars",
        "/level": "Scalars:scalars",
    }
    for entity, column in each_time.items():
        assert len(shown[entity][column]) == len(found), (entity, list(shown[entity]))
    assert shown["/age/camera"]["Scalars:scalars"] == [[m.result.ages_ms["camera"]] for m in found]
    assert shown["/cameras/camera/detections"]["Boxes2D:labels"][0] == ["car 0.75 12.5 m"]
    assert bytes(shown["/cameras/camera"]["EncodedImage:blob"][0][0])[:2] == b"\xff\xd8"
    told = [key for key, _ in groupby(f"{m.result.state}, {m.result.level}" for m in found)]
    assert shown["/state"]["TextLog:text"] == [[words] for words in told]  # only when it changes
    assert shown["/heard"]["TextLog:text"] == [["siren"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "view.rrd"]


def test_times_are_those_of_the_stamps(bundle: Bundle, reader: Any, tmp_path: Path) -> None:
    found, rig = moments(bundle)
    saved(found, rig, bundle, tmp_path / "view.rrd")
    level = columns(reader, tmp_path / "view.rrd")["/level"]
    assert level["result"] == [m.result.seq for m in found]
    assert level["time"] == [m.result.stamp_ns - found[0].result.stamp_ns for m in found]


def test_points_are_where_the_model_sees_them_and_many_are_thinned(bundle: Bundle, reader: Any, tmp_path: Path) -> None:
    found, rig = moments(bundle)
    samples = found[0].inference.synced.samples
    ahead = np.tile(np.array([20.0, 0.0, 0.0, 0.5], np.float32), (3 * MOST_POINTS, 1))
    many = {**samples, "lidar": replace(samples["lidar"], payload=PointCloud(ahead))}
    synced = replace(found[0].inference.synced, samples=many)
    moment = found[0]._replace(inference=replace(found[0].inference, synced=synced))
    saved([moment], rig, bundle, tmp_path / "view.rrd")
    (points,) = columns(reader, tmp_path / "view.rrd")["/cameras/camera/lidar"]["Points2D:positions"]
    assert len(points) == MOST_POINTS
    T, lens = rig.transform("camera", "lidar"), rig.intrinsics("camera")
    x, y, z, _ = T @ np.array([20.0, 0.0, 0.0, 1.0])
    pixel = (lens.fx * x / z + lens.cx + 0.5, lens.fy * y / z + lens.cy + 0.5)
    assert points[0] == pytest.approx(pixel, abs=0.01)


def test_a_lost_camera_is_cleared_and_not_shown_as_new(bundle: Bundle, reader: Any, tmp_path: Path) -> None:
    found, rig = moments(bundle, 4.0, lost="camera")
    without = [m for m in found if "camera" not in m.inference.synced.samples]
    assert without and len(without) < len(found)
    saved(found, rig, bundle, tmp_path / "view.rrd")
    camera = columns(reader, tmp_path / "view.rrd")["/cameras/camera"]
    drawn = [blob for blob in camera["EncodedImage:blob"] if blob is not None]
    cleared = [one for one in camera["Clear:is_recursive"] if one is not None]
    assert (len(drawn), len(cleared)) == (len(found) - len(without), len(without))


def test_text_is_shown_and_cleared_when_it_is_missing(reader: Any, tmp_path: Path) -> None:
    bundle = pack_bundle(tmp_path / "bundle", text_contents())

    def silenced(sample: Sample) -> Sample | None:
        return None if sample.stream == "report" and sample.seq > 1 else sample

    found: list[Moment] = []
    engine = OnnxRuntimeEngine(bundle.graph("fp32"))
    Pipeline(bundle, PlantSource(6, silenced), engine, on_fused=lambda i, r: found.append(Moment(i, r))).run()
    without = [m for m in found if "report" not in m.inference.synced.samples]
    assert without and len(without) < len(found)
    saved(found, text_rig(), bundle, tmp_path / "view.rrd")
    report = columns(reader, tmp_path / "view.rrd")["/texts/report"]
    shown = [one[0] for one in report["TextDocument:text"] if one is not None]
    assert set(shown) == set(SAID[:2]) and len(shown) == len(found) - len(without)
    assert len([one for one in report["Clear:is_recursive"] if one is not None]) == len(without)


@pytest.mark.parametrize(("layout", "shape"), [("bgr8", (8, 12, 3)), ("mono8", (8, 12))])
def test_every_pixel_format_is_drawn(
    layout: Any, shape: tuple[int, ...], bundle: Bundle, reader: Any, tmp_path: Path
) -> None:
    found, rig = moments(bundle)
    samples = found[0].inference.synced.samples
    image = Image(np.full(shape, (200, 10, 10) if layout == "bgr8" else 200, np.uint8), layout)
    changed = {**samples, "camera": replace(samples["camera"], payload=image)}
    inference = replace(found[0].inference, synced=replace(found[0].inference.synced, samples=changed))
    saved([found[0]._replace(inference=inference)], rig, bundle, tmp_path / "view.rrd")
    (blob,) = columns(reader, tmp_path / "view.rrd")["/cameras/camera"]["EncodedImage:blob"]
    pixels = _decoded(bytes(blob[0]))
    assert pixels[4, 6] == pytest.approx(200 if layout == "mono8" else (10, 10, 200), abs=12)


def _decoded(jpeg: bytes) -> Any:
    from io import BytesIO

    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(BytesIO(jpeg))).astype(int)


def test_an_incomplete_run_leaves_nothing(bundle: Bundle, reader: Any, tmp_path: Path) -> None:
    found, rig = moments(bundle)
    scene = RerunScene(ViewOutput(window=False, path=tmp_path / "view.rrd"), rig, bundle.model_io)
    scene.draw(found[0])
    scene.close(complete=False)
    scene.close(complete=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_cannot_be_shown_is_refused_in_one_line(reader: Any, tmp_path: Path) -> None:
    (tmp_path / "old.rrd").touch()
    for window, path, says in (
        (False, tmp_path / "old.rrd", "exists already"),
        (False, tmp_path / "view.mcap", ".rrd"),
        (False, None, "goes nowhere"),
        (False, tmp_path / "old.rrd" / "below.rrd", "cannot be written"),
    ):
        with pytest.raises(ConfigError) as caught:
            ViewOutput(window=window, path=path, environ=NO_DISPLAY)
        assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells by its environment")
def test_without_a_display_a_file_is_offered(reader: Any) -> None:
    with pytest.raises(ConfigError, match=r"--view-save FILE\.rrd"):
        check_viewable(window=True, path=None, environ=NO_DISPLAY)
    check_viewable(window=True, path=None, environ={"WAYLAND_DISPLAY": "wayland-0"})


def test_without_rerun_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(capabilities, "has_module", lambda name: name != "rerun")
    with pytest.raises(MissingDependencyError, match=r"pip install 'edge-fusion\[viewer\]'"):
        check_viewable(window=False, path=tmp_path / "view.rrd")
