"""What tests of threads share."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_S = 60.0


def our_threads() -> list[str]:
    """Python's, and those of the core; libraries keep some of their own."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            names.append((task / "comm").read_text().strip())
    return sorted([t.name for t in threading.enumerate()] + [n for n in names if n == "edge-sync"])


def descriptors() -> Counter[str]:
    """Open files by what they are, save those that a library keeps for itself."""
    found: Counter[str] = Counter()
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found[str(one.readlink())] += 1
    return Counter({name: n for name, n in found.items() if "onnxruntime" not in name})


@pytest.fixture
def no_leak() -> Iterator[None]:
    """No thread and no descriptor is left behind. Name it after the fixtures that may open something for good."""
    threads, files = Counter(our_threads()), descriptors()
    yield
    until = time.monotonic() + PATIENCE_S
    # A joined thread is still listed for a moment, and a library's own thread may close its file a little later.
    while (Counter(our_threads()) - threads or descriptors() - files) and time.monotonic() < until:
        os.sched_yield()
    assert Counter(our_threads()) - threads == Counter()
    assert descriptors() - files == Counter()
