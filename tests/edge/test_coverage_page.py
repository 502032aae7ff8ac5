"""The coverage report: its page stands alone, says what the JSON says, and escapes what it is given."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edge.calibration.cache import RangeKey, RangeMethod
from edge.calibration.coverage import Agreement, Coverage, cover_tensor
from edge.calibration.drawing import DrawConfig
from edge.calibration.tensor_range import TensorRange
from edge.report.coverage_page import render_coverage, write_coverage
from edge.report.range_figures import HEIGHT, WIDTH, range_svg

HOSTILE = "<script>alert(1)</script>"


def seen(scale: float) -> TensorRange:
    values = np.random.default_rng(0).standard_t(4, (8, 500)).astype(np.float32) * np.float32(scale)
    found = TensorRange()
    found.histogram.add(values)
    found.add_peaks(0, np.abs(values).max(1))
    return found


def example() -> tuple[Coverage, dict[str, TensorRange]]:
    method = RangeMethod(observer="percentile", percentile=99.0)
    ranges = {"encoder.0": seen(1.0), HOSTILE: seen(1e-6), "dead": seen(0.0), "huge": seen(1e30)}
    coverage = Coverage(
        draw=DrawConfig(samples=8, selection="ranges"),
        method=method,
        key=RangeKey(model="a" * 64, data="b" * 64, method=method.digest),
        samples=8,
        states={"all": 6, "only_camera": 2, "only_audio": 0},
        tensors={name: cover_tensor(found, method) for name, found in ranges.items()},
        agreement=Agreement(samples=900, median=0.01, p95=0.05, worst=("huge", 0.2)),
    )
    return coverage, ranges


def test_the_page_stands_alone_and_shows_every_tensor() -> None:
    page = render_coverage(*example())
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    assert HOSTILE not in page and page.count("&lt;script&gt;") >= 3
    assert page.count("<svg") == 4
    for words in ("only camera", "all 900 training samples", "zero everywhere", "a" * 64, "that is the rig"):
        assert words in page


def test_json_and_page_are_written_and_the_json_comes_back(tmp_path: Path) -> None:
    coverage, ranges = example()
    write_coverage(coverage, ranges, tmp_path / "out")
    assert Coverage.model_validate_json((tmp_path / "out" / "coverage.json").read_text()) == coverage
    assert (tmp_path / "out" / "coverage.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e30, 0.0])
def test_a_histogram_is_well_formed_and_stays_in_its_frame(scale: float) -> None:
    found = seen(scale)
    figure = range_svg(found, found.ceiling("percentile", 99.0), "x")
    root = ElementTree.fromstring(figure)
    assert root.get("role") == "img" and "clipped" in str(root.get("aria-label"))
    for path in root.iter("path"):
        starts = re.findall(r"M([\d.]+) ([\d.]+)", str(path.get("d")))
        assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in starts)


def test_what_is_clipped_is_drawn_in_its_own_colour() -> None:
    found = seen(1.0)
    clipped = range_svg(found, found.ceiling("percentile", 99.0), "x")
    whole = range_svg(found, found.histogram.largest, "x")
    bars = [re.search(r'd="([^"]*)" fill="var\(--bad\)"', figure) for figure in (clipped, whole)]
    assert bars[0] is not None and len(bars[0][1]) > 20
    assert bars[1] is not None and bars[1][1] == ""
