"""Fixtures for tests of files that are not to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a payload makes; the test fails where it is there in the end."""
    return tmp_path / "it_ran"
