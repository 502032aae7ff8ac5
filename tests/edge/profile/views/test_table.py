"""The table on the terminal: what is there, what is missing, and names that try to steer it."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from edge.profile.contents import Profile
from edge.profile.views.table import TOP_LAYERS, profile_table
from tests.edge.profile.views.profiles import a_profile, bare_profile, hostile_profile, state


def shown(profile: Profile, width: int = 110) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=False).print(profile_table(profile))
    return out.getvalue()


def test_a_full_profile_is_told() -> None:
    text = shown(a_profile())
    for words in (
        "onnxruntime-cpu/u8",
        "simulated street, seed 3",
        "mode 2 MAXN_SUPER",
        "1 of 7 clocks pinned",
        "cores 0-3,5",
        "16.8 to 17.3",
        "sync wait",
        "age of result",
        f"slowest {TOP_LAYERS} of 30 layers",
        "9.99 Hz of 10 asked for",
        "720 mJ a result",
        "Layers were timed in a pass of their own.",
    ):
        assert words in text, words


def test_what_n_does_not_support_is_a_dash_with_what_it_needs() -> None:
    text = shown(bare_profile())
    assert "\N{EN DASH} (needs n = 299)" in text and "\N{EN DASH} (needs n = 2,995)" in text
    assert "energy is not known" in text and "held back" not in text
    assert "where the time goes" not in text and "layers" not in text


def test_throttling_and_an_unsettled_warm_up_are_told() -> None:
    text = shown(a_profile(before=state(throttling=("cpufreq 3 of 9",)), stable=False))
    assert "throttling: cpufreq 3 of 9" in text and "had not settled" in text


@pytest.mark.parametrize("width", [60, 110, 200])
def test_names_steer_no_terminal_and_are_no_markup(width: int) -> None:
    text = shown(hostile_profile(), width)
    assert "\x1b" not in text and "[red]" in text
    assert max(map(len, text.splitlines())) <= width
    assert text.count("xxxx") < 200  # 4,000 letters are not printed
