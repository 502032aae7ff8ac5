"""The search for slices: what was planted is found, and chance is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edge.compress.samples import SampleSet
from edge.explain.coalitions import collect_answers
from edge.explain.config import SliceConfig
from edge.explain.failure_slices import find_failures, worst_samples
from edge.training.fusion_task import FusionTask
from tests.edge.explain.planted import answering, draws_of, sample_set, table_io

if TYPE_CHECKING:
    from edge.explain.failure_slices import Failures

SEEDS = 40
SAMPLES, EACH = 600, 3
CONFIG = SliceConfig()


def searched(wrong_rate: np.ndarray, seed: int, extra: dict[str, np.ndarray] | None = None) -> Failures:
    """Samples of 200 recordings with three attributes; sample i is wrong with probability `wrong_rate[i]`."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, SAMPLES)
    wrong = random.random(SAMPLES) < wrong_rate
    recordings = [f"r{at // EACH}" for at in range(SAMPLES)]
    of_recording = np.repeat(random.integers(0, 5, SAMPLES // EACH), EACH)
    attributes = {
        "room": [f"room{value}" for value in of_recording],
        "weather": [f"weather{value}" for value in random.integers(0, 3, SAMPLES)],
        **{name: [str(v) for v in values] for name, values in (extra or {}).items()},
    }
    data, answers, model_io = answering(wrong, labels, recordings, attributes)
    return find_failures(data, answers, model_io, draws_of(data), CONFIG)


def test_no_slice_is_found_where_all_fail_alike() -> None:
    """Over 40 seeds of chance alone, an answer with any slice at all is a false discovery."""
    alarms = [searched(np.full(SAMPLES, 0.1), seed).found for seed in range(SEEDS)]
    assert sum(count > 0 for count in alarms) <= 5  # 5 % allowed; at most 2.1 standard deviations more


def test_a_failing_group_is_found_and_is_the_first() -> None:
    machine = np.repeat(np.arange(SAMPLES // EACH) % 10, EACH)
    rate = np.where(machine == 7, 0.5, 0.05)
    for seed in range(5):
        found = searched(rate, seed, {"machine": machine})
        first = found.slices[0]
        assert first.conditions == {"machine": "7"} and first.state == "all"
        assert first.samples == 60 and first.recordings == 20
        assert first.excess.value == pytest.approx(45, abs=20)
        assert first.excess.interval is not None and first.excess.interval.low > 0
        assert first.false_discovery < 0.001


def test_a_pair_is_found_where_neither_side_alone_is_the_cause() -> None:
    """Machine 7 fails at night only: the pair says it better than either of its sides."""
    recording = np.arange(SAMPLES // EACH)
    machine, night = np.repeat(recording % 4, EACH), np.repeat(recording // 4 % 2, EACH)
    rate = np.where((machine == 3) & (night == 1), 0.6, 0.05)
    pairs = []
    for seed in range(5):
        found = searched(rate, seed, {"machine": machine, "night": night})
        pairs.append({"machine": "3", "night": "1"} in [s.conditions for s in found.slices])
        worst = max(found.slices, key=lambda s: s.error)
        assert worst.conditions.get("machine") == "3"
    assert all(pairs)


def test_wider_groups_are_not_repeated_by_their_parts() -> None:
    """Where a whole group fails, its parts by weather or room are no findings of their own."""
    machine = np.repeat(np.arange(SAMPLES // EACH) % 10, EACH)
    rate = np.where(machine == 7, 0.6, 0.05)
    repeated = [
        item.conditions
        for seed in range(10)
        for item in searched(rate, seed, {"machine": machine}).slices
        if len(item.conditions) > 1 and item.conditions.get("machine") == "7"
    ]
    assert len(repeated) <= 2


def test_a_failure_that_depends_on_the_input_is_found_by_its_statistic() -> None:
    random = torch.Generator().manual_seed(0)
    value = torch.rand(800, 1, generator=random)
    labels = torch.randint(0, 2, (800,), generator=random)
    model_io = table_io({"sensor": 1, "told": 2})
    wrong = (value[:, 0] < 0.25) & (torch.rand(800, generator=random) < 0.5)
    logits = 4.0 * torch.nn.functional.one_hot(torch.where(wrong, 1 - labels, labels), 2).float()
    data = sample_set([value, logits], labels)
    answers = collect_answers(lambda _, told, present: (told,), data, FusionTask(model_io), model_io)
    found = find_failures(data, answers, model_io, draws_of(data), CONFIG)
    first = next(item for item in found.slices if "sensor sensor0" in item.conditions)
    low, high = (float(edge) for edge in first.conditions["sensor sensor0"].split(" to "))
    assert low < 0.05 and high == pytest.approx(0.25, abs=0.03)
    assert first.rest < 2 and first.error == pytest.approx(50, abs=12)


def test_a_missing_modality_is_a_slice() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (400,), generator=random)
    available = torch.ones(400, 2)
    available[::4, 0] = 0
    data = sample_set([torch.nn.functional.one_hot(labels, 2).float()] * 2, labels, available=available)
    model_io = table_io({"good": 2, "useless": 2})
    answers = collect_answers(lambda good, _, present: (5 * good,), data, FusionTask(model_io), model_io)
    found = find_failures(data, answers, model_io, draws_of(data), CONFIG)
    assert {"missing modality": "good"} in [s.conditions for s in found.slices if s.state == "all"]


def test_small_groups_and_single_recordings_are_not_judged() -> None:
    """Ten samples, or thirty of two recordings, fail always; neither is enough to say so of new ones."""
    few = np.where(np.arange(SAMPLES) < 10, 0, 1)
    one = np.where((np.arange(SAMPLES) >= 30) & (np.arange(SAMPLES) < 36), 0, 1)
    rate = np.where((few == 0) | (one == 0), 1.0, 0.02)
    found = searched(rate, 0, {"few": few, "one": one})
    assert all(s.conditions.get("few") != "0" and s.conditions.get("one") != "0" for s in found.slices)


def test_the_worst_samples_come_first_with_ids_and_classes() -> None:
    labels = np.array([0, 1, 1, 0])
    data, answers, _ = answering(np.array([False, True, False, True]), labels, attributes={"who": list("abcd")})
    worst = worst_samples(data, answers, 5)
    assert [(w.id, w.actual, w.said, w.attributes["who"]) for w in worst] == [
        ("test-1", ("yes",), ("no",), "b"),
        ("test-3", ("no",), ("yes",), "d"),
    ]
    assert worst[0].truth == pytest.approx(4.74, abs=0.01)
    assert worst[0].contributions == {"told": pytest.approx(4.74 - 50, abs=0.01)}


def test_one_recording_gives_no_slices_and_no_error() -> None:
    labels = np.arange(60) % 2
    data, answers, model_io = answering(labels == 1, labels, ["the only one"] * 60, {"odd": [str(v) for v in labels]})
    assert isinstance(data, SampleSet)
    assert find_failures(data, answers, model_io, draws_of(data), CONFIG).found == 0
