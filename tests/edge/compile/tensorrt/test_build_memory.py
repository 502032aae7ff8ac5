"""Memory of a build: planned by hand, refused where it does not fit, and measured on a real allocation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.compile.tensorrt import build_memory
from edge.compile.tensorrt.build_memory import (
    BuildSizes,
    available_bytes,
    check_build_memory,
    peak_watch,
    plan_build_memory,
    workspace_bytes,
)
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Layer:
    weights: int
    reads: int
    writes: int


LAYERS = (Layer(1_000, 50, 60), Layer(200, 4_000, 3_000), Layer(0, 10, 10))


def test_sizes_are_all_weights_and_the_largest_layer() -> None:
    assert BuildSizes.of_layers(LAYERS, file=5_000) == BuildSizes(file=5_000, weights=1_200, largest=7_200)
    assert BuildSizes.of_layers((), file=7) == BuildSizes(7, 0, 0)


def test_the_plan_is_what_one_reckons_by_hand() -> None:
    plan = plan_build_memory(BuildSizes(file=5_000, weights=1_200, largest=7_200), workspace=64 * MIB, reserve=GIB)
    assert [item.bytes for item in plan.items] == [GIB, 10_000, 2 * 4 * 1_200, 2 * 4 * 7_200, 64 * MIB]
    assert plan.total == GIB + 10_000 + 9_600 + 57_600 + 64 * MIB
    assert not any(item.measured for item in plan.items)


@pytest.mark.parametrize(("gib", "mib"), [(4, 512), (8, 1024), (15.5, 1984), (16, 2048), (64, 2048), (128, 2048)])
def test_the_workspace_is_an_eighth_of_the_memory_up_to_2_gib(gib: float, mib: int) -> None:
    assert workspace_bytes(gib) == mib * MIB


def test_a_build_that_does_not_fit_names_its_largest_part() -> None:
    plan = plan_build_memory(BuildSizes(0, 0, largest=100 * MIB), workspace=256 * MIB, reserve=0)
    check_build_memory(plan, available=plan.total)
    with pytest.raises(ModelError) as refused:
        check_build_memory(plan, available=plan.total - 1)
    assert refused.value.problem == (
        "the build may take 1056.0 MiB, 1056.0 MiB are free; the largest part is the largest layer while it is timed, "
        "twice with 800.0 MiB"
    )
    assert "--workspace" in refused.value.remedy


def test_what_is_free_is_read_from_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:        7654321 kB\nMemFree:   100 kB\nMemAvailable:    2048 kB\n")
    assert available_bytes(info) == 2 * MIB
    monkeypatch.setattr(build_memory, "available_bytes", lambda: 2 * MIB)
    with pytest.raises(ModelError, match=r"2\.0 MiB are free"):
        check_build_memory(plan_build_memory(BuildSizes(0, 0, 0), workspace=3 * MIB, reserve=0))


@pytest.mark.parametrize("content", [None, "", "MemFree: 100 kB\n", "MemAvailable:\n", "MemAvailable: many kB\n"])
def test_a_system_that_does_not_tell_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    info = tmp_path / "meminfo"
    if content is not None:
        info.write_text(content)
    assert available_bytes(info) is None
    monkeypatch.setattr(build_memory, "available_bytes", lambda: None)
    check_build_memory(plan_build_memory(BuildSizes(0, 0, 0), workspace=1 << 60))


def test_this_system_tells() -> None:
    free = available_bytes()
    assert free is not None and MIB < free < 1 << 50


def test_the_peak_of_a_block_is_seen_though_it_is_given_back() -> None:
    with peak_watch() as small:
        pass
    with peak_watch() as large:
        assert large.bytes is None  # not before it ends
        block = np.ones(64 * MIB, np.uint8)
        del block
    assert small.bytes is not None and large.bytes is not None
    assert 60 * MIB < large.bytes < 200 * MIB
    assert small.bytes < 30 * MIB


def test_the_peak_is_told_of_a_block_that_raises() -> None:
    with pytest.raises(ValueError, match="broken") as raised, peak_watch() as watch:
        raise ValueError("broken")
    assert watch.bytes is not None
    assert raised.value.__context__ is None


@pytest.mark.parametrize("closed", ["_CLEAR_REFS", "_STATUS"])
def test_where_the_system_does_not_allow_it_there_is_no_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    monkeypatch.setattr(build_memory, closed, tmp_path / "missing" / "file")
    with peak_watch() as watch:
        pass
    assert watch.bytes is None
    with pytest.raises(ValueError, match="broken") as raised, peak_watch():
        raise ValueError("broken")
    assert raised.value.__context__ is None  # no trace of what the system refused
