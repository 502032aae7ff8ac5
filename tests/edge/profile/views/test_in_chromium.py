"""Pages as a browser lays them out: no error, nothing wider than the window, every figure of some size."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from edge.devices.catalog import load_device
from edge.profile.contents import Profile
from edge.profile.views.page import render_profile
from tests.edge.profile.views.profiles import a_profile, bare_profile, hostile_profile

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PATIENCE_S = 120
# Told by the page itself, from within: a frame's width is what its media queries see.
PROBE = """<script>
addEventListener("error", e => problems.push(String(e.message)), true);
const problems = [];
addEventListener("load", () => {
  const root = document.documentElement;
  const boxes = [...document.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect());
  parent.postMessage(JSON.stringify({
    problems, width: innerWidth, needed: root.scrollWidth, dark: getComputedStyle(document.body).backgroundColor,
    figures: boxes.map(box => [box.width, box.height]), scripts: document.scripts.length,
    outside: performance.getEntriesByType("resource").map(entry => entry.name),
  }), "*");
});
</script>"""
FRAME = """<!doctype html><link rel="icon" href="data:,"><body>
<iframe src="{page}" style="width:{width}px;height:800px;border:0"></iframe>
<script>addEventListener("message", e => {{ document.body.dataset.found = e.data; }});</script></body>"""
CASES = {"full": a_profile, "bare": bare_profile, "hostile": hostile_profile}

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs one of {', '.join(BROWSERS)}: apt-get install chromium")
    return found


def looked_at(profile: Profile, width: int, browser: str, folder: Path, *, dark: bool = False) -> dict[str, Any]:
    """What the page says of itself in a frame of `width`, and what the browser's console had to say."""
    page, frame = folder / "page.html", folder / "frame.html"
    text = render_profile(profile, load_device("orin-nano-8gb"))
    page.write_text(text.replace("</title>", "</title>" + PROBE), encoding="utf-8")
    frame.write_text(FRAME.format(page=page.as_uri(), width=width), encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    options = [*OPTIONS, scheme, f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr"]
    command = [browser, *options, "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    found = re.search(r'data-found="(.*?)"', done.stdout)
    assert found, done.stdout[:500] + done.stderr[-500:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(unescape(found[1])), "console": console}


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("width", [1200, 390])
def test_a_page_fits_and_is_quiet(name: str, width: int, browser: str, tmp_path: Path) -> None:
    found = looked_at(CASES[name](), width, browser, tmp_path)
    assert found["width"] == width
    assert found["needed"] <= width, "the page scrolls sideways"
    assert found["problems"] == [] and found["console"] == [] and found["outside"] == []
    assert found["scripts"] == 1, "a script that is not the probe"
    assert len(found["figures"]) == {"full": 5, "bare": 1, "hostile": 5}[name]
    assert all(w > 200 and h > 50 for w, h in found["figures"])


def test_dark_mode_is_dark(browser: str, tmp_path: Path) -> None:
    (tmp_path / "light").mkdir()
    (tmp_path / "dark").mkdir()
    light = looked_at(bare_profile(), 800, browser, tmp_path / "light")
    dark = looked_at(bare_profile(), 800, browser, tmp_path / "dark", dark=True)
    brightness = [sum(map(int, re.findall(r"\d+", found["dark"])[:3])) for found in (light, dark)]
    assert brightness[0] > 600 and brightness[1] < 120
