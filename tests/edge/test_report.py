"""The report: its schema, its page and the table on the terminal."""

from __future__ import annotations

import json
import re
import struct
from base64 import b64decode
from collections import Counter
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from edge.compress.stages.record import StageRecord
from edge.report import (
    FusedFrame,
    Report,
    ReportFigures,
    RuntimeReport,
    StageReport,
    headline_of,
    page_templates,
    read_report,
    write_report,
    write_report_json,
)
from edge.report import page as page_module
from edge.report.charts import latency_chart, score_chart
from edge.report.contents import StreamReport, TimelineSegment
from edge.report.picture import frame_png, logmel_png
from edge.report.table import stage_table
from edge.runtime.environment import describe_host
from edge.runtime.errors import ConfigError, MissingDependencyError
from edge.runtime.result import Detection, Event
from edge.runtime.statistics import Distribution, compare
from tests.edge.html_page import Page

CAMERA = StreamReport(
    received=1_830,
    refused=3,
    used=598,
    epochs=1,
    offset_ms=-2.125,
    drift_ppm=18.5,
    delay_ms=31.25,
    negative_delays=0,
    stuck=False,
)
HOSTILE = "<script>alert(1)</script>"


def _stage(name: str, score: float, shrink: float, latency: Distribution | None = None) -> StageReport:
    states = {"all": score, "no_lidar": score - 7.25, "only_audio": score - 40}
    return StageReport(
        name=name,
        params=int(4_000_000 / shrink),
        macs=int(2e9 / shrink),
        bytes=int(16_000_000 / shrink),
        latency_ms=latency,
        metrics={s: {"score": v, "detection_f1": v - 2, "event_f1": v + 2} for s, v in states.items()},
    )


def _report(**changes: Any) -> Report:
    teacher = _stage("teacher", 90.0, 1, Distribution.of(np.linspace(10, 12, 400)))
    last = _stage("quantize", 89.5, 8, Distribution.of(np.linspace(2, 3, 298)))
    ticks = iter(range(0, 10**9, 7))
    run = RuntimeReport(
        source="Simulated street.",
        engine="onnxruntime-cpu/u8",
        fused=598,
        completeness={"all": 0.94, "no_lidar": 0.05, "blind": 0.01},
        dropped={"stale_lidar": 4},
        deskew={"lidar:after_motion": 7, "lidar:deskewed": 581},
        age_ms={"camera": Distribution.of(range(20, 60))},
        offset_ms={"camera": -10.506},
        max_gap_s=0.164,
        deadline_misses=17,
        levels={"ok": 0.913, "degraded": 0.05, "stale": 0.03, "blind": 0.007},
        level_changes={"ok>blind": 2},
        modality_levels={"camera": {"ok": 0.98, "stale": 0.02}},
        timeline=(
            TimelineSegment(from_s=0, to_s=3, level="ok", state="all"),
            TimelineSegment(from_s=3, to_s=4.5, level="blind", state="blind"),
            TimelineSegment(from_s=4.5, to_s=6, level="degraded", state="no_lidar"),
        ),
        streams={"lidar": StreamReport(received=610, refused=12), "camera": CAMERA},
        high_water={"camera_ring": 5},
    )
    fields: dict[str, Any] = {
        "title": "Street",
        "data": "800 simulated scenes",
        "headline": headline_of([teacher, last], compare(int, int, rounds=9, clock=lambda: next(ticks))),
        "stages": (teacher, last),
        "runtime": run,
        "environment": describe_host(seed=7),
        "notes": ("Nothing was downloaded.",),
    }
    return Report(**{**fields, **changes})


def _figures() -> ReportFigures:
    random = np.random.default_rng(0)
    box = Detection("car", 0.93, (40, 30, 90, 60), 12.34, (12, 1, 0), "base")
    frame = FusedFrame(
        image=random.integers(0, 255, (96, 320, 3), dtype=np.uint8),
        points_px=random.uniform((0, 0), (320, 96), (500, 2)),
        depth_m=random.uniform(1, 90, 500),
        detections=(box,),
        events=(Event("horn", 0.91),),
        logmel=random.normal(size=(64, 98)),
        audio_window_s=1.0,
        caption=f"Second 12 {HOSTILE}.",
    )
    return ReportFigures(random.normal(11, 0.3, 400), random.normal(2.5, 0.1, 400), (frame,))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    write_report(_report(title=f"Street {HOSTILE}"), _figures(), out)
    return out


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page((written / "report.html").read_text(encoding="utf-8"))


def test_json_has_the_contracts_keys_and_reads_back(written: Path) -> None:
    found = json.loads((written / "report.json").read_text(encoding="utf-8"))
    assert found["schema"] == 1
    judged = {"seconds", "lost_since_before", "gate"}
    detailed = {"loss_parts", "pruning", "precision", "sparsity"}
    assert set(found["stages"][0]) == {"name", "params", "macs", "bytes", "latency_ms", "metrics"} | judged | detailed
    assert set(found["stages"][0]["latency_ms"]) == {"n", "p50", "p90", "p99", "p99.9", "max"}
    assert found["stages"][1]["latency_ms"]["p99"] is None  # 298 samples
    assert found["runtime"]["completeness"]["blind"] == 0.01
    assert found["environment"]["seed"] == 7
    assert read_report(written / "report.json").to_json() == found


def test_headline_compares_first_with_last(written: Path) -> None:
    headline = read_report(written / "report.json").headline
    assert headline is not None and headline.speed is not None
    assert headline.size_ratio == 8
    assert headline.points_lost == pytest.approx({"all": 0.5, "no_lidar": 0.5, "only_audio": 0.5})
    assert headline.speed.ratio == 1.0


def test_page_needs_nothing_from_elsewhere(written: Path, page: Page) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href|xlink:href)="([^"]{0,60})', text)
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert set(re.findall(r"https?://[^\"\s<]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not page.all("script") and not page.all("link") and "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_page_speaks_to_those_who_cannot_see_it(page: Page) -> None:
    images, drawings = page.all("img"), page.all("svg")
    assert len(images) == 2 and len(drawings) == 2
    assert all(len(image["alt"] or "") > 20 for image in images)
    assert all(d["role"] == "img" and len(d["aria-label"] or "") > 20 for d in drawings)
    assert "car at 12.3 m" in (images[0]["alt"] or "")
    assert all("scope" in cell for cell in page.all("th"))


def test_page_is_well_formed(page: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    references = {v[1:] for _, a in page.elements for k, v in a.items() if v and "href" in k and v.startswith("#")}
    assert references <= set(ids)
    labels = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    assert labels <= set(ids)


def test_page_shows_the_reports_numbers(page: Page) -> None:
    for expected in (
        "8.00 \N{MULTIPLICATION SIGN}",
        "0.50 points",
        "teacher",
        "quantize",
        "82.8",
        "\N{MINUS SIGN}0.5",
        "598",
        "94.0 %",
        "\N{MINUS SIGN}10.506 ms",
        "ok 91.3 %",
        "ok to blind 2\N{MULTIPLICATION SIGN}",
        "camera 98.0 % \N{EN DASH} 2.0 % \N{EN DASH}",
        "camera 1,830 598 3 +31.25 \N{MINUS SIGN}2.12 +18.50 1 0 no",
        "lidar 610 \N{EN DASH} 12" + " \N{EN DASH}" * 6,
        "camera ring 5",
    ):
        assert expected in page.text, expected
    assert "car 12.3 m" in page.text and "heard: horn 91 %" in page.text and "deskewed 581" in page.text
    assert "Nothing was downloaded." in page.text
    assert "no figures of a Jetson" in page.text and "p99 needs 299 samples" in page.text


def test_page_shows_levels_over_time(page: Page) -> None:
    strips = [found for found in page.all("div") if found.get("class") == "strip"]
    assert [strip["role"] for strip in strips] == ["img", "img"]
    assert "Level over 6 s: ok until 3 s, blind until 4.5 s, degraded until 6 s" in (strips[0]["aria-label"] or "")
    spans = [found for found in page.all("i") if found.get("title")]
    assert [s["class"] for s in spans] == ["ok", "blind", "degraded", "state", "blind", "state"]
    assert sum(float((s["style"] or "").split(";")[0].removeprefix("--v:")) for s in spans[:3]) == pytest.approx(1)
    assert spans[1]["title"] == "blind, 3 to 4.5 s"


def test_page_escapes_what_it_is_given(page: Page) -> None:
    assert not page.all("script")
    assert page.text.count(HOSTILE) == 3  # title, heading, caption


def test_page_of_a_mere_run_has_no_stages(tmp_path: Path) -> None:
    write_report(_report(headline=None, stages=()), ReportFigures(), tmp_path)
    found = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Score by stage" not in found.text and "Faster" not in found.text
    assert not found.all("svg") and not found.all("img")
    assert "598" in found.text


def test_page_of_stages_alone_has_no_run(tmp_path: Path) -> None:
    untimed = tuple(_stage(name, score, 2) for name, score in (("teacher", 80.0), ("student", 81.0)))
    report = _report(runtime=None, stages=untimed, headline=headline_of(untimed))
    write_report(report, ReportFigures(), tmp_path)
    found = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Score gained 1.00 points" in found.text
    assert "The run" not in found.text and "Faster" not in found.text


def test_the_same_report_gives_the_same_page(tmp_path: Path) -> None:
    pages = [page_module.render_page(_report(), _figures()) for _ in range(2)]
    assert pages[0] == pages[1]


def test_without_the_template_engine_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise MissingDependencyError(f"{name} is absent", "install it")

    write_report_json(_report(title="Before"), tmp_path)
    monkeypatch.setattr(page_templates, "require_module", absent)
    with pytest.raises(MissingDependencyError):
        write_report(_report(title="After"), ReportFigures(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert read_report(tmp_path / "report.json").title == "Before"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "report.json"),
        ('{"schema": 2}', "schema"),
        ('{"schema": 1, "title": "x"}', "environment"),
    ],
)
def test_a_broken_report_is_refused_by_name(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "report.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        read_report(tmp_path / "report.json")


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_report(tmp_path / "nothing.json")


def test_a_stage_without_a_score_is_refused() -> None:
    with pytest.raises(ValidationError, match="no 'score' in state all"):
        StageReport(name="x", params=1, macs=1, bytes=1, metrics={"all": {"accuracy": 1.0}})


def test_one_stage_has_no_headline() -> None:
    assert headline_of([_stage("teacher", 90, 1)]) is None


def test_figures_of_a_comparison_are_in_milliseconds() -> None:
    ticks = iter(range(0, 10**12, 3_000_000))
    figures = ReportFigures.from_comparison(compare(int, int, rounds=4, clock=lambda: next(ticks)))
    assert figures.first_ms is not None and figures.last_ms is not None
    assert figures.first_ms.tolist() == figures.last_ms.tolist() == [3.0] * 4


def test_frame_is_a_png_of_the_images_proportions() -> None:
    (frame,) = _figures().frames
    png = frame_png(frame)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (1280, 384)


def test_spectrogram_has_low_frequencies_at_the_bottom() -> None:
    from matplotlib.image import imread

    loud_below = np.zeros((8, 4))
    loud_below[:2] = 5.0
    pixels = imread(BytesIO(logmel_png(loud_below)))
    assert pixels.shape[:2] == (24, 24)
    assert pixels[-1, :, :3].mean() > pixels[0, :, :3].mean() + 0.3


def test_charts_take_their_colours_from_the_page() -> None:
    stages = [_stage(f"stage{i}", 90 - i, 1 + i) for i in range(6)]
    for drawing in (score_chart(stages), latency_chart(np.full(9, 3.0), np.full(9, 3.0), ("a", "b"))):
        assert "var(--first)" in drawing and "var(--last)" in drawing
        assert not re.search(r"#0[1-9]0[1-9]0[1-9]", drawing)


@pytest.mark.parametrize("slow", [1.05, 1.5, 4.0, 300.0])
def test_latency_axis_has_round_numbers(slow: float) -> None:
    random = np.random.default_rng(1)
    fast = random.normal(2.0, 0.01, 50)
    drawing = latency_chart(fast * slow, fast, ("a", "b"))
    labels = re.findall(r">([\d.]+)</text>", drawing)
    assert len(labels) >= 8


def _printed(*stages: StageReport | StageRecord) -> str:
    console = Console(width=140, record=True, force_terminal=False, file=StringIO())
    console.print(stage_table(stages))
    return console.export_text()


def test_table_compares_each_stage_with_the_first() -> None:
    text = _printed(*_report().stages)
    assert re.search(r"teacher .* 4 M .* 2 G .* 16 MB .* 11.00 ms .* 90.0 .* only_audio  50.0", text)
    assert re.search(r"quantize .* 500 k .* 250 M .* 2 MB  8.00x .* 89.5  -0.5 .* only_audio  49.5  -0.5", text)


def test_table_takes_records_without_latency() -> None:
    record = StageRecord(
        name="teacher",
        config={},
        params=1,
        macs=0,
        bytes=10,
        seconds=1,
        metrics={"all": {"score": 5}},
        gate_metrics={},
    )
    text = _printed(record)
    assert "p50" not in text and "10 B" in text


def test_pictures_in_the_page_are_png(page: Page) -> None:
    for image in page.all("img"):
        head = (image["src"] or "").removeprefix("data:image/png;base64,")[:16]
        assert b64decode(head).startswith(b"\x89PNG")
