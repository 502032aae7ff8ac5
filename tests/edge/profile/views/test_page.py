"""The page of a profile: whole, self-contained, safe against names, and silent about what was not measured."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edge.devices.catalog import load_device
from edge.profile.contents import Profile
from edge.profile.views.latency_curve import draw_curve
from edge.profile.views.layer_bars import SHOWN, draw_layers
from edge.profile.views.page import LISTED, render_profile, write_page
from edge.profile.views.roofline_plot import ceilings_of, points_of
from edge.profile.views.span_timeline import MOST_SPANS, draw_timeline
from edge.profile.views.stage_waterfall import draw_waterfall
from edge.runtime.errors import MissingDependencyError
from tests.edge.html_page import Page
from tests.edge.profile.views.profiles import (
    HOSTILE,
    a_profile,
    bare_profile,
    hostile_profile,
    layer,
    measured,
    spans,
    spread,
    state,
)

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
ORIN = load_device("orin-nano-8gb")
SVG = "{http://www.w3.org/2000/svg}"


def _words(svg: str) -> str:
    return " ".join(text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text"))


def test_a_full_profile_shows_every_part() -> None:
    page = Page(render_profile(a_profile(), ORIN))
    assert len(page.all("svg")) == 5
    for words in (
        "simulated street, seed 3",
        "12.0 ms",
        "95 % interval 16.8 to 17.3",
        "sync wait",
        "720 mJ",
        "33.4 T",
        "memory 102.4 GB/s",
        "Could not be read",
        "Layers were timed in a pass of their own.",
    ):
        assert words in page.text, words


@pytest.mark.parametrize("profile", [a_profile(), bare_profile(), hostile_profile()], ids=["full", "bare", "hostile"])
def test_nothing_comes_from_elsewhere_and_no_script_runs(profile: Profile) -> None:
    text = render_profile(profile, ORIN)
    page = Page(text)
    assert page.all("script") == [] and page.all("img") == []
    addresses = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in {"href", "src"}
    ]
    assert all(str(address).startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"@import|url\((?!#)", text)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_every_svg_is_well_formed_whatever_names_are() -> None:
    drawn = re.findall(r"<svg.*?</svg>", render_profile(hostile_profile()), flags=re.DOTALL)
    assert len(drawn) == 5
    for svg in drawn:
        assert ElementTree.fromstring(svg).get("role") == "img"


def test_what_was_not_measured_is_said_and_never_zero() -> None:
    page = Page(render_profile(bare_profile()))
    for words in (
        "needs 299 samples, there are 3",
        "needs n = 2,995",
        "No steps were recorded",
        "No times of layers were taken",
        "energy not known",
        "no /sys is mounted",
    ):
        assert words in page.text, words
    assert not re.search(r"\b0(\.0+)? (ms|mJ|MiB|/s)", page.text)
    assert "nothing" not in page.text.split("State of the machine")[1].split("How to read")[0]


def test_what_should_have_stayed_is_marked_and_what_moves_is_not() -> None:
    text = render_profile(a_profile())
    marked = re.findall(r'<td class="changed">(.*?)</td>', text)
    assert marked == ["0 15W (changed)"]
    assert re.findall(r'<td class="changed">', render_profile(a_profile(after=state(load=3.0)))) == []


def test_a_host_has_no_ceilings_and_the_page_says_so() -> None:
    for device in (None, load_device("x86-cpu")):
        page = Page(render_profile(a_profile(), device))
        assert "No ceilings are drawn" in page.text and "GB/s" not in page.text
    assert ceilings_of(load_device("x86-cpu")) is None
    found = ceilings_of(ORIN)
    assert found is not None and found.bytes == 102.4
    assert found.operations == pytest.approx({"int8": 33_400, "fp16": 16_700, "fp32": 2_090})


def test_another_power_mode_than_the_ceilings_is_told() -> None:
    page = Page(render_profile(a_profile(before=state(power_mode="1 25W")), ORIN))
    assert "it ran in 1 25W" in page.text


def test_points_are_those_layers_whose_work_and_traffic_are_known() -> None:
    layers = (
        layer(0, ms=2.0, macs=10**9, bytes=10**6),
        layer(1, macs=None),
        layer(2, bytes=None),
        layer(3, ms=0.0),
        layer(4, macs=0),
    )
    (point,) = points_of(layers)
    assert point.intensity == pytest.approx(2_000) and point.giga == pytest.approx(1_000)
    nothing = Page(render_profile(a_profile(layers=layers[1:])))
    assert "nothing to draw" in nothing.text


def test_the_curve_marks_supported_percentiles_only() -> None:
    words = _words(draw_curve(spread(10.0, n=400)))
    assert "p99" in words and "p99.9" not in words
    assert draw_curve(measured([])) == ""
    assert "p50" not in _words(draw_curve(measured([1.0, 2.0])))
    assert "<svg" in draw_curve(measured([0.0] * 400))  # a clock too coarse is no reason to fail


def test_the_waterfall_adds_up() -> None:
    stages = {"engine": measured([8.0] * 40), "sync_wait": measured([2.0] * 40), "empty": measured([])}
    drawn = draw_waterfall(stages)
    words = _words(drawn)
    assert words.index("sync wait") < words.index("engine") and "empty" not in words
    assert draw_waterfall({"empty": measured([])}) == ""


def test_long_timelines_and_layer_lists_are_cut_and_say_so() -> None:
    many = spans(400)
    found = draw_timeline(many)
    assert found.left_out >= len(many) - MOST_SPANS > 0
    layers = tuple(layer(rank % 30) for rank in range(LISTED + 10))
    page = Page(render_profile(a_profile(layers=layers, spans=many)))
    assert f"{found.left_out:,} further steps" in page.text
    assert f"The slowest {LISTED} layers in numbers" in page.text and f"The slowest {SHOWN} are drawn" in page.text
    assert draw_layers(()) == "" and draw_timeline(()).figure == ""


def test_equal_profiles_give_equal_pages_and_a_failure_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profile.html"
    write_page(a_profile(), path)
    first = path.read_text()
    write_page(a_profile(), path)
    assert path.read_text() == first

    def absent(name: str) -> None:
        raise MissingDependencyError(f"{name} is absent", "install it")

    monkeypatch.setattr("edge.report.page_templates.require_module", absent)
    with pytest.raises(MissingDependencyError):
        write_page(bare_profile(), path)
    assert path.read_text() == first and list(tmp_path.iterdir()) == [path]


def test_hostile_names_are_shown_as_text() -> None:
    assert HOSTILE in Page(render_profile(hostile_profile())).text
