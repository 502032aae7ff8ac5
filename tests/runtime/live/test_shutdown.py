"""Runtimes are closed while sensors push at full speed, two hundred times: nothing hangs and nothing is left."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.runtime.bundle import Bundle
from edge.runtime.fusion import Fusion
from edge.runtime.live.runtime import Runtime
from edge.runtime.sample import Image, PointCloud
from edge.runtime.simulate.rig import street_rig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

PATIENCE_S = 60.0


class Answers:
    """An engine that always says the same, at once."""

    name = "answers"

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        objects = np.zeros((1, 3, 4, 13), np.float32)
        return {
            "objects": objects,
            "distance": np.zeros((1, 1, 4, 13), np.float32),
            "events": np.zeros((1, 2), np.float32),
        }


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """The interpreter's lock changes hands fifty times as often: more can meet, and sooner."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(usual_s / 50)
    yield
    sys.setswitchinterval(usual_s)


def test_closing_under_load_never_hangs(small_bundle: Path, no_leak: None, eager_threads: None) -> None:
    """Two producers push at full speed all the time; a quarter of the runtimes is finished and joined before."""
    fusion = Fusion(Bundle.open(small_bundle), street_rig(), Answers())
    lens = street_rig().intrinsics("camera")
    camera = Image(np.full((lens.height, lens.width, 3), 90, np.uint8))
    lidar = PointCloud(np.ones((50, 4), np.float32))
    current = [Runtime(fusion, street_rig())]
    stop, errors = threading.Event(), list[BaseException]()

    def produce(stream: str, payload: Image | PointCloud) -> None:
        try:
            while not stop.is_set():
                current[0].push(stream, time.monotonic_ns(), payload)
        except BaseException as error:
            errors.append(error)

    given = ("camera", camera), ("lidar", lidar)
    threads = [threading.Thread(target=produce, args=one, daemon=True) for one in given]
    for thread in threads:
        thread.start()
    for cycle in range(200):
        runtime = current[0]
        while not runtime.trace.streams:
            os.sched_yield()
        if cycle % 4 == 3:
            runtime.finish()
            assert runtime.join(PATIENCE_S)
        runtime.close()
        assert runtime._sync.held_samples == 0
        current[0] = Runtime(fusion, street_rig())
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    current[0].close()
    assert errors == []
