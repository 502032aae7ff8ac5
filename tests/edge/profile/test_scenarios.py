"""`single` and `offline` on a synthetic clock: every figure follows from the durations."""

from __future__ import annotations

import json
from itertools import repeat
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.profile.contents import Profile
from edge.profile.offline import profile_offline, take_side_by_side
from edge.profile.sample_rule import SamplingConfig
from edge.profile.single import SHOWN_SAMPLES, profile_single
from edge.runtime.errors import ConfigError, ModelError
from tests.edge.profile.synthetic import QUICK, SyntheticClock, one_layer, synthetic_subject

MS = 10**6


def single(rule: SamplingConfig, **changed: Any) -> Profile:
    clock = SyntheticClock()
    timed = synthetic_subject(clock.taking(repeat(2 * MS)), layers=one_layer, **changed)
    return profile_single(timed, rule, warm_up=QUICK, clock=clock)


def test_a_profile_of_single() -> None:
    found = single(SamplingConfig(samples=400, seed=5), notes=("As told.",))
    assert found.scenario == "single" and found.stable and found.warm_up_calls == 13
    assert (found.latency_ms.distribution.n, found.latency_ms.distribution.p99) == (400, 2.0)
    assert found.latency_ms.intervals["p99"] == (2.0, 2.0)
    assert found.throughput_hz == pytest.approx(500.0)
    assert [layer.ms for layer in found.layers] == [30.0]
    assert found.memory_peak_mib is not None and found.memory_peak_mib > 10
    assert found.before.threads["engine"] == 1
    assert found.environment.seed == 5
    assert found.notes[0] == "As told."
    assert any("p99.9 2,995 needed" in note for note in found.notes)
    assert Profile.model_validate(json.loads(json.dumps(found.to_json()))) == found


def test_no_rails_are_no_energy_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.profile.surroundings.open_rails", lambda root: None)
    found = single(SamplingConfig(samples=20))
    assert found.energy is None
    assert "No energy: this machine shows no supply rails." in found.notes


def test_the_timeline_shows_the_first_samples() -> None:
    found = single(SamplingConfig(samples=400))
    assert len(found.spans) == SHOWN_SAMPLES
    assert [span.start_us for span in found.spans[:3]] == [0.0, 2000.0, 4000.0]
    assert {span.name for span in found.spans} == {"engine"}


def test_stages_follow_one_another() -> None:
    def stages(last: int) -> dict[str, NDArray[np.int64]]:
        return {"engine": np.full(last, MS), "preprocess": np.full(last, MS // 2), "decode": np.full(last, MS // 4)}

    found = single(SamplingConfig(samples=30), stages_ns=stages)
    assert {name: stage.distribution.p50 for name, stage in found.stages_ms.items()} == {
        "engine": 1.0,
        "preprocess": 0.5,
        "decode": 0.25,
    }
    first = [(span.name, span.start_us) for span in found.spans if span.number == 0]
    assert first == [("preprocess", 0.0), ("engine", 500.0), ("decode", 1500.0)]


def test_too_few_samples_are_refused_before_anything_runs() -> None:
    timed = synthetic_subject(lambda: pytest.fail("it ran"))
    with pytest.raises(ConfigError, match="p99 needs at least 299 samples"):
        profile_single(timed, SamplingConfig(samples=10, percentile="p99"))


def test_too_few_in_time_are_an_error_and_no_figure() -> None:
    with pytest.raises(ConfigError, match="p99 needs at least 299 samples, and only 50 came in time"):
        single(SamplingConfig(duration_s=0.1, percentile="p99"))


def test_what_did_not_settle_is_noted() -> None:
    clock = SyntheticClock()
    rising = iter(range(MS, 10**12, MS))
    timed = synthetic_subject(clock.taking(rising))
    found = profile_single(timed, SamplingConfig(samples=50), warm_up=QUICK, clock=clock)
    assert not found.stable
    assert "Durations had not settled after 41 calls of warm-up." in found.notes


def test_a_batch_counts_its_samples() -> None:
    clock = SyntheticClock()
    timed = synthetic_subject(clock.taking(repeat(4 * MS)), batch=8)
    found = profile_offline(timed, SamplingConfig(samples=100), 8, warm_up=QUICK, clock=clock)
    assert (found.scenario, found.batch) == ("offline", 8)
    assert found.throughput_hz == pytest.approx(2000.0)
    assert any("Batches of 8" in note for note in found.notes)


def test_what_takes_one_sample_runs_side_by_side() -> None:
    clock = SyntheticClock()
    timed = synthetic_subject(clock.taking(repeat(MS)), side_by_side=True)
    found = profile_offline(timed, SamplingConfig(samples=200), 4, warm_up=QUICK, clock=clock)
    assert (found.batch, found.latency_ms.distribution.n) == (4, 200)
    assert found.throughput_hz == pytest.approx(1000.0)  # the synthetic clock does not let them overlap
    assert any("4 threads ran it side by side" in note for note in found.notes)


def test_what_one_thread_must_run_says_so() -> None:
    clock = SyntheticClock()
    timed = synthetic_subject(clock.taking(repeat(MS)))
    found = profile_offline(timed, SamplingConfig(samples=50), 4, warm_up=QUICK, clock=clock)
    assert found.batch == 1
    assert any("one after the other" in note for note in found.notes)


def test_a_failure_on_a_thread_is_the_callers() -> None:
    def fails() -> None:
        raise ModelError("inference failed", "look")

    with pytest.raises(ModelError, match="inference failed"):
        take_side_by_side(fails, SamplingConfig(samples=10), 3)


def test_threads_share_what_there_is_to_do() -> None:
    done = []
    taken = take_side_by_side(lambda: done.append(1), SamplingConfig(samples=1000), 4)
    assert len(done) == len(taken.durations_ns) == 1000
    assert (np.diff(taken.starts_ns) >= 0).all()
