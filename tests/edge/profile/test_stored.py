"""A profile's folder: written whole, read back, refused in one line where it is something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.profile.stored import PROFILE_NAME, read_profile, write_profile
from edge.runtime.errors import ConfigError
from tests.edge.profile.views.profiles import a_profile


def test_what_was_written_is_read(tmp_path: Path) -> None:
    profile = a_profile()
    unwritten = write_profile(profile, tmp_path / "out")
    names = {entry.name for entry in (tmp_path / "out").iterdir()}
    assert {PROFILE_NAME, "trace.json", "layers.csv", "latency.csv"} <= names
    assert ("profile.html" in names) is not bool(unwritten)
    assert read_profile(tmp_path / "out") == read_profile(tmp_path / "out" / PROFILE_NAME) == profile


def test_without_what_draws_the_page_the_rest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.profile.stored.has_module", lambda name: name != "matplotlib")
    assert write_profile(a_profile(), tmp_path) == ("No profile.html, for matplotlib is not installed.",)
    assert not (tmp_path / "profile.html").exists() and (tmp_path / PROFILE_NAME).exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; choose a folder"):
        write_profile(a_profile(), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def changed(**values: Any) -> str:
    return json.dumps({**a_profile().to_json(), **values})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", "is no profile; pass the profile.json"),
        ('{"schema": 1, "runtime": {}}', "is no profile"),
        (changed(schema=2), "is a profile of schema 2, this edge reads 1"),
        (changed(schema="\x1b[2J"), r"of schema '\\x1b\[2J'"),
        (changed(throughput_hz=-1), "throughput_hz: Input should be greater than or equal to 0"),
        (changed(extra=1), "extra: Extra inputs are not permitted"),
        (changed(throughput_hz=float("nan")), "throughput_hz"),
    ],
)
def test_something_else_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem) as refused:
        read_profile(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*No such file"):
        read_profile(tmp_path / "none.json")
