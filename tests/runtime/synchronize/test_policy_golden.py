"""The ROS-compatible policies against golden vectors of ROS itself, and against its unit tests' sequences."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from edge.runtime.synchronize.messages import Release
from edge.runtime.synchronize.policies import Exact, Optimal, Policy, StreamSpec

S = 1_000_000_000
MS = 1_000_000
Arrivals = list[tuple[int, int]]


def specs(count: int) -> list[StreamSpec]:
    return [StreamSpec(100 * MS) for _ in range(count)]


def fire(policy: Policy, arrivals: Arrivals) -> list[list[int]]:
    """`[arrival step, message id per topic]` of every set; an id is the position in `arrivals`."""
    fired = []
    for step, (topic, stamp) in enumerate(arrivals):
        for matched in policy.push(topic, stamp, stamp, step):
            fired.append([step, *(member.handles[0] for member in matched.members)])
    return fired


def cases(shared_data: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared_data / "sync_golden" / name).read_text())["cases"]
    return found


def test_optimal_gives_what_ros_gives(shared_data: Path) -> None:
    golden = cases(shared_data, "golden_adaptive.json")
    assert len(golden) == 28
    for case in golden:
        policy = Optimal(
            specs(case["n_topics"]),
            queue_size=case["queue_size"],
            age_penalty=case["age_penalty"],
            max_interval_ns=case["max_interval_ns"],
            lower_bounds_ns=case["inter_message_lower_bound_ns"],
            remap=False,
        )
        assert fire(policy, case["arrivals"]) == case["fired"], case["id"]


@pytest.mark.parametrize("monotonic", [True, False])
def test_exact_gives_what_ros_gives(shared_data: Path, monotonic: bool) -> None:
    arrivals = {case["id"]: case["arrivals"] for case in cases(shared_data, "golden_adaptive.json")}
    golden = [case for case in cases(shared_data, "golden_slop.json") if case["slop_s"] == "exact"]
    assert len(golden) == 28
    assert sum(bool(case["fired"]) for case in golden) >= 2
    for case in golden:
        policy = Exact(specs(case["n_topics"]), queue_size=case["queue_size"], monotonic=monotonic, remap=False)
        assert fire(policy, arrivals[case["id"]]) == case["fired"], case["id"]


def stamped(text: str) -> Arrivals:
    """From `topic@seconds ...`."""
    pairs = (one.split("@") for one in text.split())
    return [(int(topic), round(float(stamp) * S)) for topic, stamp in pairs]


ADAPTIVE = {
    "perfect match": (2, 10, None, "0@0 1@1 0@3 1@4 0@6 1@7", [(0, 1), (3, 4)], [2, 4]),
    "acceleration": (2, 10, None, "0@0 1@7 0@12 1@15 0@17 1@18", [(12, 7), (17, 18)], [2, 5]),
    "dropped, queue 2": (
        2, 2, None, "0@0 1@1 1@3 0@4 1@7 0@8 0@10 1@11 0@13 1@14",
        [(0, 1), (4, 3), (8, 7), (10, 11)], [3, 4, 7, 8],
    ),
    "double publish": (2, 10, None, "0@0 1@1 1@3 0@3", [(0, 1), (3, 3)], [3, 3]),
    "early publish": (4, 10, None, "0@0 1@1 2@2 3@3 0@7", [(0, 1, 2, 3)], [4]),
    "rate bound 2 s": (2, 10, [2 * S, 0], "0@0 1@1 0@3 1@4 0@6 1@7", [(0, 1), (3, 4), (6, 7)], [1, 3, 5]),
    "both bounds 2 s": (2, 10, [2 * S] * 2, "0@0 1@1 0@3 1@4 0@6 1@7", [(0, 1), (3, 4), (6, 7)], [1, 3, 5]),
}  # fmt: skip


@pytest.mark.parametrize("name", ADAPTIVE)
def test_optimal_on_ros_unit_sequences(name: str) -> None:
    topics, queue, bounds, text, expected, steps = ADAPTIVE[name]
    arrivals = stamped(text)
    policy = Optimal(specs(topics), queue_size=queue, lower_bounds_ns=bounds, remap=False)
    fired = fire(policy, arrivals)
    assert [row[0] for row in fired] == steps
    assert [tuple(arrivals[i][1] // S for i in row[1:]) for row in fired] == expected


def test_exact_waits_for_every_topic() -> None:
    assert fire(Exact(specs(3), queue_size=2), stamped("0@0 1@0.1 0@0.1 2@0.1")) == [[3, 2, 1, 3]]


def test_exact_forgets_beyond_its_queue() -> None:
    assert fire(Exact(specs(3), queue_size=1), stamped("0@0 1@0 1@0.1 1@0 2@0")) == []


def test_exact_gives_dropped_messages_back() -> None:
    policy = Exact(specs(2), queue_size=1)
    fire(policy, stamped("0@0 0@0.1"))
    assert [(one.handle, one.why) for one in policy.take_released()] == [(0, Release.OVERFLOW)]


@pytest.mark.parametrize("count", range(1, 10))
def test_exact_pairs_scrambled_topics(count: int) -> None:
    draw = random.Random(count)
    stamps = [i * S for i in range(count)]
    first, second = draw.sample(stamps, count), draw.sample(stamps, count)
    arrivals = [(0, stamp) for stamp in first] + [(1, stamp) for stamp in second]
    policy = Exact(specs(2), queue_size=count, monotonic=False, remap=False)
    pairs = [(arrivals[a][1], arrivals[b][1]) for _, a, b in fire(policy, arrivals)]
    assert sorted(pairs) == [(stamp, stamp) for stamp in stamps]
