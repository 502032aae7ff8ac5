"""The trend: a line a run, judged by the runs before on the same machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.profile.comparison.trend import TrendVerdict, add_to_trend, read_trend
from edge.profile.contents import Profile
from edge.profile.distributions import measured_ms
from edge.runtime.errors import ConfigError, GateError
from tests.edge.profile.views.profiles import a_profile, state


def run(mean_ms: float, seed: int, **changed: Any) -> Profile:
    latency = measured_ms(mean_ms * 1e6 * np.random.default_rng(seed).lognormal(0.0, 0.05, 400))
    return a_profile(latency_ms=latency, **changed)


def add(path: Path, mean_ms: float, seed: int, **changed: Any) -> TrendVerdict:
    return add_to_trend(path, run(mean_ms, seed, **changed), 0.02)


def test_the_first_three_are_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "ci" / "trend.jsonl"
    verdicts = [add(path, 10.0, seed).verdict for seed in range(5)]
    assert verdicts == [None, None, None, "same", "same"]
    lines = read_trend(path)
    assert len(lines) == 5 and {line.subject for line in lines} == {"street"}
    assert all(line.p50_interval[0] <= line.p50 <= line.p50_interval[1] for line in lines)
    assert lines[0].p99 is not None
    assert json.loads(path.read_text().splitlines()[0])["schema"] == 1


def test_a_regression_is_found_again_and_again(tmp_path: Path) -> None:
    """It does not become what the next run is measured by."""
    path = tmp_path / "trend.jsonl"
    for seed in range(3):
        add(path, 10.0, seed)
    for seed in range(3, 30):
        found = add(path, 11.0, seed)
        assert (found.verdict, found.before) == ("slower", 3)
    with pytest.raises(GateError, match=r"times as long as the 3 before it") as refused:
        found.check_trend(path)
    assert refused.value.exit_code == 3
    assert add(path, 10.05, 99).verdict == "same"
    assert add(path, 9.0, 100).verdict == "faster"


def test_runs_that_scatter_more_than_their_intervals_raise_no_alarm(tmp_path: Path) -> None:
    path = tmp_path / "trend.jsonl"
    for seed, mean in enumerate([10.0, 11.0, 9.8, 10.2]):
        add(path, mean, seed)
    assert add(path, 10.6, 9).verdict == "same"


def test_others_are_not_compared_with(tmp_path: Path) -> None:
    path = tmp_path / "trend.jsonl"
    for seed in range(4):
        add(path, 10.0, seed)
    subject = a_profile().subject
    others: list[dict[str, Any]] = [
        {"scenario": "single"},
        {"batch": 2},
        {"before": state(power_mode="0 15W")},
        {"subject": subject.model_copy(update={"name": "another"})},
        {"subject": subject.model_copy(update={"engine": "tensorrt"})},
    ]
    for seed, other in enumerate(others):
        assert add(path, 20.0, seed, **other).verdict is None
    rebuilt = subject.model_copy(update={"digest": "f" * 64})
    assert add(path, 20.0, 5, subject=rebuilt).verdict == "slower"


@pytest.mark.parametrize("garbage", ["nonsense", "{}", '{"schema": 2}', "[]", "\x00", '{"p50": NaN}'])
def test_a_garbage_line_is_named_and_the_file_left(tmp_path: Path, garbage: str) -> None:
    path = tmp_path / "trend.jsonl"
    add(path, 10.0, 0)
    text = path.read_text() + "\n" + garbage + "\n"
    path.write_text(text)
    with pytest.raises(ConfigError, match="line 3 is none of a trend") as refused:
        add(path, 10.0, 1)
    assert "\n" not in str(refused.value)
    assert path.read_text() == text


def test_too_few_samples_are_no_trend(tmp_path: Path) -> None:
    path = tmp_path / "trend.jsonl"
    with pytest.raises(ConfigError, match="3 samples have none"):
        add_to_trend(path, a_profile(latency_ms=measured_ms([1e6, 2e6, 3e6])), 0.02)
    assert not path.exists()


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "trend.jsonl"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot read .* as a trend"):
        add(path, 10.0, 0)
