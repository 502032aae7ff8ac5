"""Work in processes: complete, reported, and its failures named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.data.parallel import run_in_processes
from edge.runtime.errors import DataError, RigError

if TYPE_CHECKING:
    from collections.abc import Callable


def _touch(report: Callable[[int], None], folder: Path, number: int) -> None:
    (folder / str(number)).touch()
    report(number)


def _refuse(report: Callable[[int], None]) -> None:
    raise RigError("the rig is bent", "straighten it")


def _die(report: Callable[[int], None]) -> None:
    report(1)
    os._exit(7)


def test_every_share_is_done_and_reported(tmp_path: Path) -> None:
    reported: list[int] = []
    run_in_processes(_touch, [(tmp_path, n) for n in (1, 2, 3)], reported.append)
    assert sorted(reported) == [1, 2, 3]
    assert {p.name for p in tmp_path.iterdir()} == {"1", "2", "3"}


def test_an_error_in_a_worker_is_told_here() -> None:
    with pytest.raises(DataError, match="the rig is bent; straighten it"):
        run_in_processes(_refuse, [()], lambda _n: None)


def test_a_worker_that_dies_is_noticed() -> None:
    with pytest.raises(DataError, match="exit code 7"):
        run_in_processes(_die, [(), ()], lambda _n: None)
