"""Timings of earlier builds: begun, kept, used again, and begun anew where they are of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.compile.tensorrt.timing_cache import TimingCache
from tests.edge.compile.tensorrt.fake_tensorrt import parsed_by

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compile.tensorrt.library import TensorRTLibrary


@pytest.fixture
def cache(tmp_path: Path) -> TimingCache:
    return TimingCache(tmp_path / "deep" / "tensorrt-10.3.0.cache")


def round_of(cache: TimingCache, library: TensorRTLibrary) -> tuple[tuple[str, ...], bytes]:
    """Attaches and saves; the notes, and what the builder was given."""
    parsed = parsed_by(library)
    config = parsed.builder.create_builder_config()
    notes = cache.attach(parsed, config)
    given = config.timing_cache.content
    config.timing_cache.content += b", measured"
    assert cache.save(parsed, config) == ()
    assert parsed.logger.take_errors() == []
    return notes, given


def test_a_missing_one_is_begun_and_kept(cache: TimingCache, orin: TensorRTLibrary) -> None:
    assert round_of(cache, orin) == ((), b"timings of Orin")
    assert cache.path.read_bytes() == b"timings of Orin, measured"
    assert list(cache.path.parent.iterdir()) == [cache.path]  # nothing half-written beside it


def test_what_was_kept_is_used_and_grows(cache: TimingCache, orin: TensorRTLibrary) -> None:
    round_of(cache, orin)
    assert round_of(cache, orin) == ((), b"timings of Orin, measured")
    assert cache.path.read_bytes().count(b"measured") == 2


@pytest.mark.parametrize("stored", [b"timings of Thor, measured", b"no timings at all"])
def test_one_of_another_device_is_begun_anew_and_noted(
    cache: TimingCache, orin: TensorRTLibrary, stored: bytes
) -> None:
    cache.path.parent.mkdir()
    cache.path.write_bytes(stored)
    notes, given = round_of(cache, orin)
    assert notes == ("the timing cache tensorrt-10.3.0.cache is of another device or TensorRT and was begun anew",)
    assert given == b"timings of Orin"
    assert cache.path.read_bytes() == b"timings of Orin, measured"


def test_one_that_cannot_be_read_is_begun_anew_and_noted(
    cache: TimingCache, orin: TensorRTLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_of(cache, orin)

    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    parsed = parsed_by(orin)
    config = parsed.builder.create_builder_config()
    (note,) = cache.attach(parsed, config)
    assert "cannot be read (Permission denied)" in note
    assert config.timing_cache.content == b"timings of Orin"


def test_one_that_cannot_be_written_costs_no_engine(cache: TimingCache, orin: TensorRTLibrary) -> None:
    cache.path.parent.write_text("a file where the folder should be")
    parsed = parsed_by(orin)
    config = parsed.builder.create_builder_config()
    assert cache.attach(parsed, config) == ()
    (note,) = cache.save(parsed, config)
    assert "could not be written" in note


def test_rtx_measures_nothing_and_keeps_nothing(cache: TimingCache, rtx: TensorRTLibrary) -> None:
    parsed = parsed_by(rtx)
    config = parsed.builder.create_builder_config()
    assert cache.attach(parsed, config) == ()
    assert cache.save(parsed, config) == ()
    assert config.timing_cache is None
    assert not cache.path.parent.exists()
