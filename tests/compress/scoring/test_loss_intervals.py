"""Intervals of lost points: they cover the truth as often as they say, and pairing and clustering both matter."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.compress.scoring.loss_intervals import paired_losses
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.runtime.errors import DataError
from edge.runtime.statistics import Interval
from edge.training.metrics import AccuracyMetric, macro_f1

CLASSES = 4
Counts = NDArray[np.float64]


def points(counts: Tensor) -> dict[str, Tensor]:
    return {"score": macro_f1(*counts.unflatten(-1, (3, -1)).unbind(-2))}


def recordings(count: int, seed: int) -> tuple[Counts, Counts]:
    """Two models' hits, predictions and occurrences; a recording that is hard for one is hard for the other."""
    random = np.random.default_rng(seed)
    ease = random.beta(6, 2, (count, 1))
    actual = random.poisson(random.gamma(2.0, 2.0, (count, 1)) * np.array([2.0, 1.0, 0.5, 0.3]))
    false = random.poisson(actual.sum(1, keepdims=True) * 0.1 * (1 - ease), (count, CLASSES))
    hits = random.binomial(actual, ease)
    kept = random.binomial(hits, 0.93) + random.binomial(actual - hits, 0.05)
    more = false + random.poisson(0.05, false.shape)
    sides = ((hits, hits + false), (kept, kept + more))
    return tuple(np.concatenate([h, p, actual], 1).astype(np.float64) for h, p in sides)  # type: ignore[return-value]


def as_counts(counts: Counts, samples: str = "00") -> RecordingCounts:
    return RecordingCounts(samples, {"all": counts})


def interval(first: Counts, second: Counts, seed: int = 0, resamples: int = 600) -> Interval:
    return paired_losses(as_counts(first), as_counts(second), points, seed=seed, resamples=resamples)["all"]["score"]


def test_the_interval_of_a_macro_f1_covers_the_truth_as_often_as_it_says() -> None:
    population = [torch.from_numpy(side.sum(0)) for side in recordings(200_000, seed=99)]
    truth = float(points(population[0])["score"] - points(population[1])["score"])
    assert truth > 1
    trials = [interval(*recordings(60, seed), seed=seed) for seed in range(600)]
    covered = np.mean([i.low <= truth <= i.high for i in trials])
    assert abs(covered - 0.95) <= 0.03


def test_the_estimate_is_the_difference_of_both_scores() -> None:
    first, second = recordings(40, 3)
    lost = points(torch.from_numpy(first.sum(0)))["score"] - points(torch.from_numpy(second.sum(0)))["score"]
    assert interval(first, second).estimate == float(lost)


def test_pairing_matters() -> None:
    """Without it, each side brings its own luck with the recordings that it drew."""
    first, second = recordings(80, 1)
    paired = interval(first, second)
    independent = math.hypot(_own_width(first, 0), _own_width(second, 1))
    assert paired.high - paired.low < 0.6 * independent


def _own_width(counts: Counts, seed: int) -> float:
    perfect = counts.copy()
    perfect[:, : 2 * CLASSES] = np.tile(counts[:, 2 * CLASSES :], 2)  # which scores 100 whatever is drawn
    found = interval(perfect, counts, seed)
    return found.high - found.low


def test_clustering_matters() -> None:
    """Thirty samples of one recording that all change together are one draw and no thirty."""
    right = np.ones((20, 30))
    after = right.copy()
    after[:5] = 0.0  # five recordings are lost whole
    metric = AccuracyMetric()

    def width(shape: tuple[int, int]) -> float:
        before, then = (np.stack([s.reshape(shape).sum(1), np.full(shape[0], shape[1])], 1) for s in (right, after))
        found = paired_losses(as_counts(before), as_counts(then), metric.points)["all"]["score"]
        assert found.estimate == pytest.approx(25)
        return found.high - found.low

    assert width((20, 30)) > 4 * width((600, 1))


def test_equal_models_lose_nothing_and_are_sure_of_it() -> None:
    first, _ = recordings(30, 5)
    assert interval(first, first) == Interval(estimate=0, low=0, high=0)


def test_the_same_seed_gives_the_same_interval_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = recordings(30, 6)
    whole = interval(*sides, seed=4)
    assert interval(*sides, seed=5) != whole
    monkeypatch.setattr("edge.compress.scoring.loss_intervals._CHUNK_CELLS", 30 * 7)
    assert interval(*sides, seed=4) == whole


def test_hundreds_of_recordings_in_seven_states_take_about_a_second() -> None:
    states = [recordings(800, seed) for seed in range(7)]
    before, after = (RecordingCounts("00", {str(i): sides[k] for i, sides in enumerate(states)}) for k in (0, 1))
    started = time.process_time()
    assert len(paired_losses(before, after, points)) == 7
    assert time.process_time() - started < 5  # measured: below one, on a machine to itself


def test_models_of_different_samples_are_not_compared() -> None:
    first, second = recordings(5, 7)
    with pytest.raises(DataError, match="different samples"):
        paired_losses(as_counts(first), as_counts(second, "01"), points)


def test_one_recording_has_no_interval() -> None:
    first, second = recordings(1, 8)
    with pytest.raises(DataError, match="at least two clusters"):
        interval(first, second)
