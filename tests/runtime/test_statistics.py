"""Timing and statistics on synthetic clocks and known distributions."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from time import perf_counter_ns

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import ConfigError, DataError
from edge.runtime.statistics import (
    Distribution,
    WarmUp,
    clustered_interval,
    compare,
    interleave,
    median_interval,
    minimum_samples,
    paused_collector,
    percentile,
    percentile_interval,
    time_call,
)

TRIALS = 400
NOMINAL, MARGIN = 0.95, 0.03


class FakeTime:
    """A clock that only the timed functions move, by draws around a mean with a common slow drift."""

    def __init__(self, seed: int) -> None:
        self.now_ns = 1_000
        self.calls: list[str] = []
        self._random = np.random.default_rng(seed)

    def clock(self) -> int:
        return self.now_ns

    def taking(self, mean_ns: float, name: str = "", drift: float = 0.0) -> Callable[[], None]:
        def work() -> None:
            self.calls.append(name)
            noise = self._random.lognormal(0.0, 0.05)
            self.now_ns += int(mean_ns * noise * (1.0 + drift * len(self.calls)))

        return work


@pytest.mark.parametrize(("share", "needed"), [(0.5, 5), (0.9, 29), (0.99, 299), (0.999, 2995)])
def test_minimum_samples_at_95_percent(share: float, needed: int) -> None:
    assert minimum_samples(share) == needed


def test_minimum_samples_agree_with_loadgen_at_99_percent() -> None:
    assert (minimum_samples(0.99, 0.99), minimum_samples(0.999, 0.99)) == (459, 4603)


@given(st.floats(0.01, 0.9999), st.floats(0.5, 0.999))
def test_minimum_samples_is_the_smallest(share: float, confidence: float) -> None:
    n = minimum_samples(share, confidence)
    assert 1 - share**n >= confidence
    assert n == 1 or 1 - share ** (n - 1) < confidence


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, math.nan])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="strictly between 0 and 1"):
        minimum_samples(share)
    with pytest.raises(DataError, match="strictly between 0 and 1"):
        percentile_interval(range(100), share)


def test_p99_is_withheld_at_298_and_given_at_299() -> None:
    assert Distribution.of(range(298)).p99 is None
    assert Distribution.of(range(299)).p99 == 296  # rank ceil(0.99 * 299) = 297


def test_distribution_has_the_keys_of_the_contract() -> None:
    values = Distribution.of(np.arange(1, 3001) * NS_PER_MS, NS_PER_MS).to_json()
    assert values == {"n": 3000, "p50": 1500.0, "p90": 2700.0, "p99": 2970.0, "p99.9": 2997.0, "max": 3000.0}
    assert Distribution.model_validate(values).to_json() == values


def test_distribution_of_nothing() -> None:
    assert Distribution.of([]).to_json() == dict.fromkeys(("p50", "p90", "p99", "p99.9", "max")) | {"n": 0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    for summarise in (Distribution.of, lambda v: percentile(v, 0.5), lambda v: median_interval(v, 0)):
        with pytest.raises(DataError, match="1 of 3 values"):
            summarise([1.0, bad, 2.0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=60), st.floats(0.01, 0.5))
def test_a_percentile_is_one_of_the_values_and_exceeds_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert found is not None and sum(v <= found for v in values) >= share * len(values) - 1e-6


@pytest.mark.parametrize(("share", "n"), [(0.5, 40), (0.9, 200), (0.99, 1500)])
def test_percentile_interval_covers_the_truth(share: float, n: int) -> None:
    random = np.random.default_rng(11)
    truth = -math.log(1 - share)  # of the exponential distribution
    intervals = [percentile_interval(random.exponential(size=n), share) for _ in range(TRIALS)]
    covered = [low <= truth <= high for low, high in filter(None, intervals)]
    assert len(covered) == TRIALS
    assert NOMINAL - MARGIN <= np.mean(covered) <= NOMINAL + MARGIN + 0.015  # discrete ranks err to the safe side


def test_percentile_interval_is_none_where_one_side_is_open() -> None:
    assert percentile_interval(range(367), 0.99) is None  # 0.99^367 > 2.5 %
    assert percentile_interval(range(368), 0.99) == (359.0, 367.0)
    assert percentile_interval([], 0.5) is None


@pytest.mark.parametrize("n", [12, 60])
def test_median_interval_covers_the_truth(n: int) -> None:
    random = np.random.default_rng(0)
    intervals = [median_interval(random.lognormal(size=n), seed, resamples=600) for seed in range(TRIALS)]
    coverage = np.mean([i.low <= 1.0 <= i.high for i in intervals])
    assert NOMINAL - MARGIN <= coverage <= NOMINAL + MARGIN


def _recordings(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences of mean 0.02 whose recordings have offsets of their own, of unequal lengths."""
    clusters = np.repeat(np.arange(count), random.integers(5, 15, count))
    offsets = random.normal(0.02, 0.1, count)
    return offsets[clusters] + random.normal(0, 0.05, len(clusters)), clusters


@pytest.mark.parametrize("recordings", [10, 40])
def test_clustered_interval_covers_the_truth_and_the_naive_one_does_not(recordings: int) -> None:
    random = np.random.default_rng(3)
    clustered: list[bool] = []
    naive: list[bool] = []
    for seed in range(TRIALS):
        differences, clusters = _recordings(random, recordings)
        for hits, groups in ((clustered, clusters), (naive, np.arange(len(clusters)))):
            interval = clustered_interval(differences, groups, seed, resamples=600)
            hits.append(interval.low <= 0.02 <= interval.high)
    assert NOMINAL - MARGIN <= np.mean(clustered) <= NOMINAL + MARGIN
    assert np.mean(naive) < 0.75


def test_clustered_interval_takes_names_and_repeats_with_its_seed() -> None:
    differences, names = [1.0, 0.0, -1.0, 1.0, 0.0], ["a", "a", "b", "c", "c"]
    first = clustered_interval(differences, names, seed=4)
    assert first == clustered_interval(differences, names, seed=4)
    assert first.estimate == pytest.approx(0.2)
    assert first.low <= first.estimate <= first.high


def test_clustered_interval_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(DataError, match="at least two clusters, here is 1"):
        clustered_interval([1.0, 2.0], ["a", "a"], seed=0)
    with pytest.raises(DataError, match="2 differences came with clusters"):
        clustered_interval([1.0, 2.0], ["a"], seed=0)


@pytest.mark.parametrize("drift", [0.0, 2e-3])
def test_a_against_a_is_within_two_percent_even_as_the_machine_slows_down(drift: float) -> None:
    fake = FakeTime(1)
    side = fake.taking(10_000, drift=drift)
    found = compare(side, side, rounds=200, clock=fake.clock, seed=2)
    assert found.ratio == pytest.approx(1.0, abs=0.02)
    assert found.interval[0] <= 1.0 <= found.interval[1]
    assert found.range[0] <= found.interval[0] <= found.ratio <= found.interval[1] <= found.range[1]


def test_a_slowdown_of_ten_percent_is_found() -> None:
    fake = FakeTime(7)
    found = compare(fake.taking(10_000), fake.taking(11_000), rounds=200, clock=fake.clock)
    assert found.ratio == pytest.approx(1.10, abs=0.02)
    assert found.interval[0] > 1.05
    assert found.interval[1] < 1.15


def test_ratio_interval_covers_the_truth() -> None:
    covered: list[bool] = []
    for seed in range(150):
        fake = FakeTime(seed)
        found = compare(fake.taking(10_000_000), fake.taking(12_000_000), rounds=30, clock=fake.clock, seed=seed)
        covered.append(found.interval[0] <= 1.2 <= found.interval[1])
    assert np.mean(covered) >= NOMINAL - MARGIN


def test_sides_alternate_in_a_seeded_order() -> None:
    fake = FakeTime(0)
    sides = {name: fake.taking(1_000, name) for name in "abc"}
    quick = WarmUp(window=1, max_calls=1)
    timings = interleave(sides, rounds=40, calls=2, warm_up=quick, clock=fake.clock, seed=9)
    measured = np.reshape(fake.calls[3:], (40, 3, 2))
    assert (measured[:, :, 0] == measured[:, :, 1]).all()
    assert all(set(order) == set("abc") for order in measured[:, :, 0])
    assert len({tuple(order) for order in measured[:, :, 0]}) == 6
    assert {t.samples_ns.shape for t in timings.values()} == {(40, 2)}


def test_the_same_seed_gives_the_same_comparison() -> None:
    def once() -> dict[str, object]:
        fake = FakeTime(3)
        return compare(fake.taking(500), fake.taking(600), rounds=25, clock=fake.clock, seed=1).to_json()

    assert once() == once()


def test_warm_up_ends_when_durations_settle() -> None:
    fake = FakeTime(0)
    costs = iter([90_000, 50_000, 30_000, 20_000, 15_000, 12_000] + [10_000] * 400)

    def settling() -> None:
        fake.now_ns += next(costs)

    timing = time_call(settling, samples=20, warm_up=WarmUp(window=2), clock=fake.clock)
    assert timing.stable
    assert set(timing.samples_ns.ravel()) == {10_000}


def test_warm_up_that_never_settles_gives_up_and_says_so() -> None:
    fake = FakeTime(0)
    growing = fake.taking(1_000, drift=0.5)
    limits = WarmUp(window=2, tolerance=0.0, max_calls=40)
    assert not time_call(growing, samples=3, warm_up=limits, clock=fake.clock).stable
    assert len(fake.calls) == 43


def test_the_collector_is_off_while_timing_and_back_afterwards() -> None:
    seen: list[bool] = []
    time_call(lambda: seen.append(gc.isenabled()), samples=5)
    assert not any(seen)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        time_call(lambda: 1 // 0)
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with paused_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_cannot_be_timed_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 rounds"):
        compare(int, int, rounds=1)
    with pytest.raises(ConfigError, match="nothing to time"):
        interleave({}, rounds=3)
    with pytest.raises(ConfigError, match="clock is too coarse"):
        compare(int, int, rounds=3, clock=lambda: 5)


def test_rounds_are_announced_outside_the_timed_part() -> None:
    fake = FakeTime(0)

    def announce() -> None:
        fake.now_ns += 10**9

    timing = interleave({"x": fake.taking(1_000)}, rounds=10, clock=fake.clock, on_round=announce)["x"]
    assert timing.samples_ns.max() < 10**6


def test_the_harness_costs_at_most_1500_ns_a_sample() -> None:
    starts: list[int] = []
    quick = WarmUp(window=1, max_calls=1)
    time_call(lambda: starts.append(perf_counter_ns()), samples=20_000, warm_up=quick)
    assert np.median(np.diff(starts)) <= 1_500  # from one call to the next, the recording call included
