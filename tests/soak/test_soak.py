"""The live runtime in real time, for minutes: sensors break all the time, users misbehave, and nothing may grow.

This is the one place in the tests that really sleeps: what is looked for (memory that creeps, descriptors and threads
that stay behind, silence on a busy host) only shows in real time. `make soak` takes ten minutes; EDGE_SOAK_S sets the
seconds (60 at least; memory is judged from 600 on), EDGE_SOAK_SEED what goes wrong when, EDGE_SOAK_OUT a file for the
figures as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from edge.runtime.atomic import atomic_file
from edge.runtime.bundle import Bundle
from tests.soak.lifetime import Tally, life
from tests.soak.soak_summary import as_table, memory_of, results_of
from tests.soak.verdict import problems_of
from tests.soak.vital_signs import AtRest, MemoryCurve, at_rest

SECONDS = float(os.environ.get("EDGE_SOAK_S", "600"))
SEED = int(os.environ.get("EDGE_SOAK_SEED", "1"))
OUT = os.environ.get("EDGE_SOAK_OUT", "")
# Half a minute each, but at least six.
LIVES = max(6, round(SECONDS / 30))

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS + 300)]


class LogCount(logging.Handler):
    """Counts what is logged, and keeps nothing of it: pytest would keep every record, with all that it refers to.

    A context manager; to be entered within the test, since pytest looks for loggers to listen to before.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.counts[f"{record.name}:{record.levelname}"] += 1

    def __enter__(self) -> LogCount:
        logging.getLogger("edge").propagate = False
        logging.getLogger("edge").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("edge").removeHandler(self)
        logging.getLogger("edge").propagate = True


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What threads raised and nobody caught."""
    found: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda given: found.append(repr(given.exc_value)))
    monkeypatch.setattr(sys, "unraisablehook", lambda given: found.append(repr(given.exc_value)))
    return found


def test_nothing_grows_and_results_never_cease(
    small_bundle: Path, uncaught: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle.open(small_bundle)
    tally, memory, rests = Tally(), MemoryCurve(), list[AtRest]()
    with LogCount() as logged:
        _live(bundle, tally, memory, rests)
    figures = {
        "seconds": SECONDS,
        **results_of(tally),
        **memory_of(memory, rests),
        "logged": dict(logged.counts),
        "uncaught": uncaught,
    }
    problems = problems_of(figures, bundle.model_io)
    if OUT:
        told = {**figures, "memory": memory.to_json(), "problems": problems}
        with atomic_file(Path(OUT)) as partial:
            partial.write_text(json.dumps(told, indent=1), encoding="utf-8")
    with capsys.disabled():
        sys.stdout.write(f"\n{as_table(figures)}")
    assert problems == []


def _live(bundle: Bundle, tally: Tally, memory: MemoryCurve, rests: list[AtRest]) -> None:
    """One life after the other, until the time is over."""
    begun = time.monotonic()
    for number in range(LIVES):
        end = begun + SECONDS * (number + 1) / LIVES
        with life(bundle, tally, end - time.monotonic(), SEED + number):
            while (rest := end - time.monotonic()) > 0:
                memory.sample()
                time.sleep(min(1.0, rest))
        rests.append(at_rest(rests[0].threads if rests else None))
        if len(tally.payloads):
            tally.errors.append(f"{len(tally.payloads)} payloads outlive life {number}")
