"""Ctrl-C in the middle of the demo: no process and no half-written folder stay behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "demo", "--out", str(out)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hear_interrupts,  # noqa: PLW1509  (the tests themselves run on one thread)
    )
    try:
        _wait_for_drawing(process, out)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert list(out.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def _hear_interrupts() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would the demo if the tests run in one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_for_drawing(process: subprocess.Popen[str], out: Path) -> None:
    """Returns when the workers have begun to fill the dataset's hidden folder."""
    while not any(out.glob(".data.*/*.npy")):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            raise AssertionError("the demo ended by itself")
