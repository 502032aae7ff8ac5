"""Settings on the threads of a live run: inference and matching have them, nobody else, and a refusal ends the run."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime.bundle import Bundle
from edge.runtime.errors import ConfigError, RunError
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import ManualClock
from edge.runtime.realtime.applying import RealtimeScope
from edge.runtime.realtime.settings import RealtimeConfig
from edge.runtime.simulate.rig import street_rig
from tests.runtime.realtime.made_up_kernel import MadeUpKernel

CORES = sorted(os.sched_getaffinity(0))


class IdleEngine:
    """Is never asked."""

    name = "idle"

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        raise AssertionError(list(inputs))


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def _of_thread(scope: RealtimeScope, told: list[set[int]], ready: threading.Event) -> None:
    scope.enter_inference()
    told.append(os.sched_getaffinity(0))
    told += [os.sched_getaffinity(thread) for thread in scope._calls.threads_named("edge-sync")]
    ready.set()


@pytest.mark.skipif(len(CORES) < 2, reason="one core")
def test_inference_and_matching_run_where_they_should(bundle: Bundle, no_leak: None) -> None:
    told: list[set[int]] = []
    ready = threading.Event()
    with RealtimeScope(RealtimeConfig(capture_cores=(CORES[0],))) as scope:
        on_thread = partial(_of_thread, scope, told, ready)
        with Runtime(bundle, street_rig(), IdleEngine(), clock=ManualClock(), on_thread=on_thread):
            assert ready.wait(60)
    assert told == [set(CORES[1:]), {CORES[0]}]
    assert scope.notes == []
    assert os.sched_getaffinity(0) == set(CORES)


def test_a_refusal_on_the_thread_ends_the_run(bundle: Bundle, no_leak: None) -> None:
    kernel = MadeUpKernel()
    with RealtimeScope(RealtimeConfig(priority=9), kernel) as scope:
        kernel._refuses = frozenset({"set_fifo"})  # permitted before, and no longer
        runtime = Runtime(bundle, street_rig(), IdleEngine(), clock=ManualClock(), on_thread=scope.enter_inference)
        with pytest.raises(RunError, match="priority 9") as caught, runtime:
            list(runtime)
    assert isinstance(caught.value.__cause__, ConfigError)
