"""Fixtures shared by all tests, and the rule that CI skips nothing for want of data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WHERE = "../shared/data"
REQUIRED = "EDGE_REQUIRE_SHARED_DATA"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the checkout; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the recordings in {WHERE}, which are not part of the repository")
    return SHARED_DATA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Under EDGE_REQUIRE_SHARED_DATA a test that was skipped for want of the recordings has failed."""
    report = yield
    return _failed_where_data_is_required(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """The same for a whole module that skips itself."""
    report = yield
    return _failed_where_data_is_required(report)


def _failed_where_data_is_required(report: Any) -> Any:
    if os.environ.get(REQUIRED) == "1" and report.outcome == "skipped" and WHERE in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{REQUIRED} is set, so this may not be skipped: {report.longrepr[2]}"
    return report
