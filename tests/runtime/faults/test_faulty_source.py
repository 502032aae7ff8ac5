"""What each fault does to samples, and what none may do: change others, lose the order, or differ on a second run."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.faults import FaultySource, parse_fault
from edge.runtime.faults.payloads import emptied, resized
from edge.runtime.sample import AudioChunk, Image, PointCloud, Reading, Sample
from edge.runtime.sanity.gate import SanityGate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from edge.runtime.sources.base import Source

S, MS = 1_000_000_000, 1_000_000
STREAMS = ("camera", "lidar", "audio", "speed")
KINDS = {
    "drop": ",p=.5",
    "stall": "",
    "burst": "",
    "late": ",p=.5,by=70ms",
    "duplicate": ",p=.5,by=30ms",
    "reorder": ",p=.5,k=2",
    "clock-step": ",by=-2s",
    "drift": ",ppm=500",
    "offset": ",by=30ms",
    "nan": ",share=.5",
    "empty": ",p=.5",
    "wrong-size": "",
    "frozen": "",
}


def fingerprint(sample: Sample) -> tuple[object, ...]:
    payload = sample.payload
    values = {Image: "pixels", PointCloud: "points", AudioChunk: "samples", Reading: "values"}[type(payload)]
    array = np.asarray(getattr(payload, values))
    return sample.stream, sample.stamp_ns, sample.arrival_ns, sample.seq, array.shape, array.tobytes()


def broken(source: Source, *texts: str, seed: int = 0) -> list[Sample]:
    return list(FaultySource(source, [parse_fault(text) for text in texts], seed).samples())


def prints(samples: list[Sample]) -> list[tuple[object, ...]]:
    return [fingerprint(sample) for sample in samples]


def of(samples: list[Sample], stream: str, begin_s: float = 0, end_s: float = 1e6, origin: int = 0) -> list[Sample]:
    return [s for s in samples if s.stream == stream and begin_s * S <= s.arrival_ns - origin < end_s * S]


@pytest.fixture(scope="module")
def given_samples(healthy: Source) -> list[Sample]:
    return list(healthy.samples())


@pytest.fixture(scope="module")
def origin(given_samples: list[Sample]) -> int:
    return given_samples[0].arrival_ns


@st.composite
def fault_texts(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(sorted(KINDS)))
    stream = draw(st.sampled_from([*STREAMS, "all"]))
    start, length = draw(st.integers(0, 7000)), draw(st.integers(1, 7000))
    return f"{stream}:{kind}@{start}ms+{length}ms{KINDS[kind]}"


lists_of_faults = st.lists(fault_texts(), max_size=4, unique=True)


@settings(max_examples=60, deadline=None)
@given(lists_of_faults, st.integers(0, 3), st.randoms(use_true_random=False))
def test_samples_stay_ordered_and_are_a_function_of_the_seed(
    healthy: Source, texts: list[str], seed: int, random: Random
) -> None:
    samples = broken(healthy, *texts, seed=seed)
    assert all(a.arrival_ns <= b.arrival_ns for a, b in pairwise(samples))
    shuffled = random.sample(texts, len(texts))
    assert prints(broken(healthy, *shuffled, seed=seed)) == prints(samples)


@settings(max_examples=60, deadline=None)
@given(lists_of_faults)
def test_nothing_comes_before_it_would_have(healthy: Source, given_samples: list[Sample], texts: list[str]) -> None:
    due = {(s.stream, s.seq): s.arrival_ns for s in given_samples}
    assert all(s.arrival_ns >= due[s.stream, s.seq] for s in broken(healthy, *texts))


@settings(max_examples=60, deadline=None)
@given(fault_texts())
def test_other_streams_and_other_times_are_untouched(
    healthy: Source, given_samples: list[Sample], origin: int, text: str
) -> None:
    fault = parse_fault(text)
    assert fault.end_ns is not None

    def touched(sample: Sample) -> bool:
        due = given_samples_by[sample.stream, sample.seq].arrival_ns - origin
        return fault.stream in (sample.stream, "all") and fault.is_active(due)

    given_samples_by = {(s.stream, s.seq): s for s in given_samples}
    kept = [s for s in broken(healthy, text) if not touched(s)]
    assert prints(kept) == prints([s for s in given_samples if not touched(s)])


@settings(max_examples=40, deadline=None)
@given(fault_texts(), fault_texts())
def test_chances_do_not_depend_on_other_faults(healthy: Source, one: str, other: str) -> None:
    alone = FaultySource(healthy, [parse_fault(one)])
    assert list(alone.samples())
    if parse_fault(one) != parse_fault(other):
        both = FaultySource(healthy, [parse_fault(other), parse_fault(one)])
        assert list(both.samples())
        text = str(parse_fault(one))
        if {parse_fault(one).kind, parse_fault(other).kind} != {"reorder"}:
            assert both.hits[text] == alone.hits[text]


def test_a_source_without_faults_is_the_source(healthy: Source, given_samples: list[Sample]) -> None:
    source = FaultySource(healthy, [])
    assert list(source.samples()) == given_samples
    assert source.description == "regular"
    assert source.recoverable_ns is None


def test_the_description_says_what_is_wrong(healthy: Source) -> None:
    source = FaultySource(healthy, [parse_fault("lidar:stall@1s+2s"), parse_fault("audio:late@0s")], seed=5)
    assert source.description == "regular; faults injected (seed 5): lidar:stall@1s+2s, audio:late@0s"
    assert source.rig == healthy.rig


def test_seeds_differ(healthy: Source) -> None:
    assert prints(broken(healthy, "audio:drop@0s,p=.5", seed=1)) != prints(broken(healthy, "audio:drop@0s,p=.5"))


def test_streams_draw_on_their_own(healthy: Source) -> None:
    """A fault of all hits other samples of each stream."""
    kept = broken(healthy, "all:drop@0s,p=.5")
    seqs = [{s.seq for s in kept if s.stream == stream and s.seq < 20} for stream in STREAMS[:3]]
    assert len({frozenset(s) for s in seqs}) == 3


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drop_loses_its_share(healthy: Source, given_samples: list[Sample], p: float) -> None:
    """300 chunks: five standard deviations either way."""
    left = len(of(broken(healthy, f"audio:drop@0s,p={p}"), "audio"))
    count = len(of(given_samples, "audio"))
    assert abs(left - count * (1 - p)) <= 5 * (count * p * (1 - p)) ** 0.5


def test_what_is_certain_hits_everything(healthy: Source) -> None:
    source = FaultySource(healthy, [parse_fault("all:drop@0s")])
    assert list(source.samples()) == []
    assert source.hits == {"all:drop@0s": len(list(healthy.samples()))}


def test_stall_gives_nothing(healthy: Source, given_samples: list[Sample], origin: int) -> None:
    samples = broken(healthy, "lidar:stall@2s+1s")
    assert of(samples, "lidar", 2, 3, origin) == []
    assert len(of(samples, "lidar")) == len(of(given_samples, "lidar")) - 10


def test_without_a_length_a_fault_lasts(healthy: Source, origin: int) -> None:
    samples = broken(healthy, "camera:stall@2s")
    assert of(samples, "camera", 2, 100, origin) == []
    assert of(samples, "camera", 0, 2, origin) != []


def test_burst_holds_and_gives_all_at_once(healthy: Source, given_samples: list[Sample], origin: int) -> None:
    samples = broken(healthy, "camera:burst@2s+1s")
    held = of(given_samples, "camera", 2, 3, origin)
    assert of(samples, "camera", 2, 3, origin) == []
    at_once = [s for s in samples if s.stream == "camera" and s.arrival_ns == origin + 3 * S]
    assert [s.seq for s in at_once] == [s.seq for s in held]
    assert [s.stamp_ns for s in at_once] == [s.stamp_ns for s in held]


def test_burst_comes_every_so_often(healthy: Source, origin: int) -> None:
    samples = broken(healthy, "audio:burst@2s+1s,every=300ms")
    times = Counter((s.arrival_ns - origin) // MS for s in of(samples, "audio", 2.0001, 3.0001, origin))
    assert times == {2300: 15, 2600: 15, 2900: 15, 3000: 5}


def test_late_samples_are_overtaken(healthy: Source, given_samples: list[Sample]) -> None:
    samples = of(broken(healthy, "audio:late@0s,p=.2,by=50ms"), "audio")
    moved = {s.seq: s.arrival_ns - g.arrival_ns for g in of(given_samples, "audio") for s in samples if s.seq == g.seq}
    assert set(moved.values()) == {0, 50 * MS}
    assert [s.seq for s in samples] != sorted(s.seq for s in samples)
    assert len(samples) == len(of(given_samples, "audio"))


def test_duplicates_carry_the_same_stamp(healthy: Source, given_samples: list[Sample]) -> None:
    samples = of(broken(healthy, "lidar:duplicate@0s,by=7ms"), "lidar")
    assert len(samples) == 2 * len(of(given_samples, "lidar"))
    for first, again in zip(samples[::2], samples[1::2], strict=True):
        assert (again.stamp_ns, again.seq, again.payload) == (first.stamp_ns, first.seq, first.payload)
        assert again.arrival_ns == first.arrival_ns + 7 * MS


@pytest.mark.parametrize(("k", "order"), [(1, [1, 0, 3, 2, 5, 4]), (2, [1, 2, 0, 4, 5, 3])])
def test_reorder_changes_turns(healthy: Source, k: int, order: list[int]) -> None:
    samples = of(broken(healthy, f"lidar:reorder@0s,k={k}"), "lidar")
    assert [s.seq for s in samples[:6]] == order
    assert sorted(s.seq for s in samples) == list(range(len(samples)))


def test_reorder_of_the_last_sample_loses_nothing(healthy: Source, given_samples: list[Sample]) -> None:
    samples = broken(healthy, "lidar:reorder@5s,k=100")
    assert Counter(s.seq for s in of(samples, "lidar")) == Counter(s.seq for s in of(given_samples, "lidar"))
    assert samples[-1].arrival_ns == given_samples[-1].arrival_ns


def test_clock_step_jumps_and_jumps_back(healthy: Source, given_samples: list[Sample], origin: int) -> None:
    samples = of(broken(healthy, "lidar:clock-step@2s+1s,by=-5s"), "lidar")
    moved = [s.stamp_ns - g.stamp_ns for s, g in zip(samples, of(given_samples, "lidar"), strict=True)]
    inside = [2 * S <= s.arrival_ns - origin < 3 * S for s in samples]
    assert moved == [-5 * S if is_in else 0 for is_in in inside]
    assert [s.arrival_ns for s in samples] == [g.arrival_ns for g in of(given_samples, "lidar")]


@pytest.mark.parametrize("ppm", [-400.0, 250.5])
def test_drift_grows_with_time(healthy: Source, given_samples: list[Sample], ppm: float) -> None:
    samples, regular = of(broken(healthy, f"audio:drift@0s,ppm={ppm}"), "audio"), of(given_samples, "audio")
    gained = [s.stamp_ns - g.stamp_ns for s, g in zip(samples, regular, strict=True)]
    assert gained == [round((g.stamp_ns - regular[0].stamp_ns) * ppm / 1e6) for g in regular]


def test_offset_shifts_stamps(healthy: Source, given_samples: list[Sample]) -> None:
    samples = broken(healthy, "camera:offset@0s,by=-40ms")
    moved = {s.stamp_ns - g.stamp_ns for s, g in zip(of(samples, "camera"), of(given_samples, "camera"), strict=True)}
    assert moved == {-40 * MS}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("kind", ["nan", "empty", "wrong-size"])
def test_spoiled_payloads_are_refused_as_missing(healthy: Source, stream: str, kind: str) -> None:
    gate = SanityGate(healthy.rig)
    samples = of(broken(healthy, f"{stream}:{kind}@0s"), stream)
    assert all(gate.refusal(s) for s in samples)


def test_nan_spoils_its_share(healthy: Source) -> None:
    chunks = [s.payload for s in of(broken(healthy, "audio:nan@0s,share=.25"), "audio")]
    values = np.concatenate([c.samples.ravel() for c in chunks if isinstance(c, AudioChunk)])
    assert abs(1 - np.isfinite(values).mean() - 0.25) < 0.03
    frames = [s.payload for s in of(broken(healthy, "camera:nan@0s,share=.25"), "camera")]
    pixels = np.stack([f.pixels for f in frames if isinstance(f, Image)])
    assert abs((pixels == 0).all(axis=-1).mean() - 0.25) < 0.03
    assert ((pixels == 0).all(axis=-1) == (pixels == 0).any(axis=-1)).all()


def test_faults_leave_the_sources_payloads_alone(healthy: Source, given_samples: list[Sample]) -> None:
    before = prints(given_samples)
    broken(healthy, *(f"all:{kind}@0s" for kind in ("nan", "empty", "wrong-size")))
    assert prints(list(healthy.samples())) == before


def test_frozen_repeats_the_first_payload_under_new_stamps(
    healthy: Source, given_samples: list[Sample], origin: int
) -> None:
    samples = of(broken(healthy, "camera:frozen@2s+1s"), "camera")
    during = of(samples, "camera", 2, 3, origin)
    assert len(during) == 30
    assert {id(s.payload) for s in during} == {id(during[0].payload)}
    assert [s.stamp_ns for s in samples] == [s.stamp_ns for s in of(given_samples, "camera")]


def test_mono_images_and_empty_payloads() -> None:
    grey = Image(np.ones((4, 6), np.uint8), "mono8")
    assert isinstance(resized(grey), Image)
    assert resized(grey).pixels.shape == (2, 3)  # type: ignore[union-attr]
    cloud = emptied(PointCloud(np.ones((3, 4), np.float32), np.ones(3, np.float32)))
    assert isinstance(cloud, PointCloud) and cloud.time_offset_s is not None
    assert (cloud.points.shape, cloud.time_offset_s.shape) == ((0, 4), (0,))
    with pytest.raises(TypeError, match="str is no payload"):
        emptied("nothing")
    with pytest.raises(TypeError, match="str is no payload"):
        resized("nothing")


def test_only_what_is_delayed_is_held(healthy: Source) -> None:
    """Samples are asked for one at a time, and given as soon as they have arrived."""
    asked = 0

    class Counting:
        description, rig = healthy.description, healthy.rig

        def samples(self) -> Iterator[Sample]:
            nonlocal asked
            for sample in healthy.samples():
                asked += 1
                yield sample

    samples = FaultySource(Counting(), [parse_fault("lidar:late@0s,by=100ms")]).samples()
    for got in range(1, 200):
        next(samples)
        assert asked - got <= 2  # one late sweep, and the sample that was looked at


def test_when_results_can_be_complete_again(healthy: Source, origin: int) -> None:
    def over_ns(*texts: str) -> int | None:
        source = FaultySource(healthy, [parse_fault(text) for text in texts])
        assert source.recoverable_ns is None  # nobody knows when it begins
        list(source.samples())
        return source.recoverable_ns

    assert over_ns("lidar:stall@1s+2s", "audio:drop@1s+1s") == origin + 3 * S
    assert over_ns("lidar:stall@1s+2s", "audio:clock-step@4s,by=1s") == origin + 4 * S
    assert over_ns("lidar:clock-step@1s+1s,by=1s") == origin + 2 * S
    assert over_ns("lidar:stall@1s+2s", "audio:drop@1s") is None
