"""Nothing half-written: outputs appear whole or not at all, and leave nothing beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.runtime.atomic import atomic_file, atomic_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_appears_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out.txt"
    with atomic_file(target) as partial:
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_what_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(failure), atomic_file(target) as partial:
        partial.write_text("half")
        raise failure
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "stale").write_text("old")
    with atomic_folder(target) as partial:
        (partial / "fresh").write_text("new")
        assert (target / "stale").exists()
    assert [p.name for p in target.iterdir()] == ["fresh"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failed_folder_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), atomic_folder(tmp_path / "bundle") as partial:
        (partial / "half").write_text("half")
        raise failure
    assert list(tmp_path.iterdir()) == []
