"""The profiler's benchmark: what it calls missed, its coverage against the truth, and its page."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [str(ROOT / "benchmarks"), str(ROOT / "docs")]


@pytest.fixture(autouse=True)
def _importable() -> Iterator[None]:
    sys.path[:0] = FOLDERS
    yield
    for folder in FOLDERS:
        sys.path.remove(folder)


def side(held: float | None) -> dict[str, dict[str, float | None]]:
    return {name: {"coverage": held, "given": 1.0} for name in ("p50", "p90", "p99")}


def run(ratio: float, verdict: str) -> dict[str, Any]:
    return {"ratio": ratio, "interval": [ratio - 0.01, ratio + 0.01], "verdict": verdict, "a_p50_ms": 1.0}


def result(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "overhead": {
            "rounds": 3, "samples": 10, "edge_us": 0.4, "added_us": 0.3, "added_range_us": [0.2, 0.4],
            "null_sample_us": 0.1, "loadgen": "not installed: make bench-profile-peers",
        },
        "coverage": {
            "trials": 10, "samples": 20, "rounds": 5,
            "processes": {
                "long tail": {"profile": side(0.96), "assuming independence": side(0.6), "ratio in turns": 0.94}
            },
        },
        "slowdowns": {
            "rounds": 5, "tolerance": 0.02, "A against A": [run(1.0, "same")], "1 % slower": [run(1.01, "same")],
            "10 % slower": [run(1.1, "slower")],
        },
    }  # fmt: skip
    for path, value in changed.items():
        entry, keys = found, path.split("__")
        for key in keys[:-1]:
            entry = entry[key.replace("_", " ")] if key not in entry else entry[key]
        entry[keys[-1] if keys[-1] in entry else keys[-1].replace("_", " ")] = value
    return found


def test_all_reached() -> None:
    assert importlib.import_module("profiler").shortfalls(result()) == []


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"overhead__added_us": 1.6}, "overhead 1.60 us"),
        ({"coverage__processes__long_tail__profile": side(0.91)}, "intervals of p50 hold in 91.0% of runs"),
        ({"coverage__processes__long_tail__profile": side(0.99)}, "intervals of p50 hold in 99.0% of runs"),
        ({"coverage__processes__long_tail__profile": side(None)}, "there is no interval of p50"),
        ({"coverage__processes__long_tail__ratio_in_turns": 0.9}, "intervals of ratio"),
        ({"slowdowns__A_against_A": [run(1.03, "same")]}, "A/A is 1.030"),
    ],
)
def test_what_is_missed(changed: dict[str, Any], missed: str) -> None:
    (first, *_) = importlib.import_module("profiler").shortfalls(result(**changed))
    assert missed in first


def test_wrong_verdicts_are_missed() -> None:
    found = result()
    found["slowdowns"]["10 % slower"] = [run(1.1, "same"), run(1.1, "slower")]
    found["slowdowns"]["1 % slower"] = [run(1.03, "slower")]
    told = importlib.import_module("profiler").shortfalls(found)
    assert told == ["1 % slower: the verdict is wrong in 1 of 1", "10 % slower: the verdict is wrong in 1 of 2"]


def test_a_slower_call_takes_its_share_more() -> None:
    profiler = importlib.import_module("profiler")
    made: list[int] = []
    assert profiler.slower(lambda: made.append(1), 0.0)() is None
    profiler.slower(lambda: made.append(1), 0.5)()
    assert made == [1, 1]


def test_coverage_is_measured_against_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval that is the truth itself always holds, one beside it never does."""
    coverage = importlib.import_module("interval_coverage")
    monkeypatch.setattr(coverage, "TRUTH_SAMPLES", 100_000)
    truth = np.quantile(coverage.long_tail(np.random.default_rng(10**9), 100_000), 0.5)
    for bounds, held in (((truth, truth), 1.0), ((truth + 1, truth + 2), 0.0)):
        found = coverage.percentile_coverage(coverage.long_tail, 5, 50, lambda values, share, b=bounds: b)
        assert found["p50"] == {"coverage": held, "given": 1.0}
    found = coverage.percentile_coverage(coverage.two_modes, 2, 50, lambda values, share: None)
    assert found["p99"] == {"coverage": None, "given": 0.0}


@pytest.mark.parametrize("name", ["long tail", "two modes", "drifting", "bursts"])
def test_ratios_in_turns_hold(name: str) -> None:
    coverage = importlib.import_module("interval_coverage")
    assert coverage.ratio_coverage(coverage.PROCESSES[name], 40, 40) >= 0.8


def test_the_page_is_filled_from_the_result(tmp_path: Path) -> None:
    pages = importlib.import_module("profiling_tables")
    text = pages.profiler_text(result())
    assert "0.30 us more" in text and "make bench-profile-peers" in text
    assert "| long tail | 96.0% | 96.0% | 96.0% | 60% / 60% / 60% | 94.0% |" in text
    assert "| 10 % slower | 1.100 to 1.100 | slower 1 |" in text
