"""Bytes computed from the rig, added up, and refused over the limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.byte_sizes import parse_size
from edge.runtime.errors import ConfigError
from edge.runtime.memory_budget import (
    Kept,
    MemoryItem,
    MemoryPlan,
    payload_bytes,
    plan_memory,
    resident_bytes,
    with_engine,
    with_process,
)
from edge.runtime.model_io import ImageInput, LogMelInput, ModelIO, PresentInput, RawOutput
from edge.runtime.rig import Deskew, Intrinsics, Rig, Stream

LENS = Intrinsics(width=1242, height=375, fx=700, fy=700, cx=600, cy=180)
CAMERA = Stream(kind="camera", rate_hz=10, intrinsics=LENS)
LIDAR = Stream(kind="lidar", rate_hz=10, max_points=130_000)
AUDIO = Stream(kind="audio", rate_hz=50, sample_rate_hz=16_000, channels=2)
TABLE = Stream(kind="table", rate_hz=1, fields=("temperature", "light"))
RIG = Rig(schema=1, anchor="lidar", streams={"camera": CAMERA, "lidar": LIDAR, "audio": AUDIO, "table": TABLE})
IO = ModelIO(
    schema=1,
    inputs=(
        ImageInput(tensor="image", stream="camera", shape=(1, 3, 96, 320)),
        LogMelInput(tensor="sound", stream="audio", shape=(1, 1, 64, 96)),
        PresentInput(streams=("camera", "audio")),
    ),
    outputs=(RawOutput(tensor="out"),),
)


def test_payloads_follow_from_the_sensors() -> None:
    assert payload_bytes(CAMERA) == 1242 * 375 * 3
    assert payload_bytes(LIDAR) == 130_000 * 20
    assert payload_bytes(AUDIO) == 320 * 2 * 4
    assert payload_bytes(TABLE) == 8


def test_a_plan_adds_up() -> None:
    plan = plan_memory(RIG, IO, {"camera": Kept(40), "audio": Kept(100, 50)}, core_bytes=5000)
    expected = 40 * 1242 * 375 * 3 + 100 * 2560 + 2 * 50 * 2560 + 2 * 4 * (3 * 96 * 320 + 64 * 96) + 5000
    assert plan.total == expected
    assert plan.items[0].what == "camera: 40 samples of 1,397,250 bytes"
    assert not any(item.measured for item in plan.items)


def test_sweeps_that_are_deskewed_take_room() -> None:
    moving = {**RIG.streams, "wheels": Stream(kind="twist", rate_hz=50)}
    rig = Rig(schema=1, anchor="lidar", streams=moving, deskew=Deskew(motion="wheels"))
    kept = {"lidar": Kept(10), "camera": Kept(10)}
    assert plan_memory(rig, IO, kept).total - plan_memory(RIG, IO, kept).total == 2 * payload_bytes(LIDAR)


class OnDevice:
    """What tells of the memory of an engine on a device."""

    name, device_memory_bytes, buffer_bytes = "on a device", 300 << 20, 5 << 20

    def run(self, inputs: Any) -> Any:
        raise NotImplementedError


class OnCpu:
    name, run = "on the CPU", OnDevice.run


def test_what_an_engine_holds_on_a_device_is_part_of_the_plan() -> None:
    plan = plan_memory(RIG, IO, {})
    assert with_engine(plan, OnCpu()) == plan
    whole = with_engine(plan, OnDevice())
    assert whole.total - plan.total == 305 << 20
    assert [(item.bytes >> 20, item.measured) for item in whole.items[-2:]] == [(300, False), (5, False)]
    with pytest.raises(ConfigError, match=r"largest part is temporaries of the engine, on the device with 300\.0 MiB"):
        whole.check(256 << 20)


def test_over_the_limit_the_largest_part_is_named() -> None:
    plan = MemoryPlan((MemoryItem("small", 1 << 20), MemoryItem("camera frames", 5 << 20)))
    plan.check(6 << 20)
    with pytest.raises(ConfigError, match=r"may take 6\.0 MiB, the limit is 6\.0 MiB; .* camera frames with 5\.0 MiB"):
        plan.check((6 << 20) - 1)


def test_the_process_itself_is_measured() -> None:
    plan = with_process(plan_memory(RIG, IO, {}))
    assert plan.items[0].measured
    assert plan.items[0].bytes == pytest.approx(resident_bytes(), rel=0.2)
    assert 10 << 20 < resident_bytes() < 64 << 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512MB", 512 * 10**6), ("1.5GiB", 3 << 29), ("100", 100), (" 2 kib ", 2048), ("7b", 7)],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "0", "1TBB", "1e9", "nan", "12 parsecs", "1,5GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size of memory"):
        parse_size(text)


@given(st.integers(1, 1 << 50))
def test_a_number_of_bytes_is_itself(count: int) -> None:
    assert parse_size(str(count)) == count
