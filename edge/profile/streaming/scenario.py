"""The scenario `stream`: latency, stages, ages and throughput of a bundle that is fed by a source at its pace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.profile.contents import Profile, Span
from edge.profile.distributions import dependence_notes, measured_ms
from edge.profile.streaming.delivery import slowness_note
from edge.profile.streaming.live_run import run_live
from edge.profile.streaming.subject import streamed_subject
from edge.profile.surroundings import Surroundings
from edge.profile.timed_loop import WARM_UP, warmed
from edge.runtime.byte_sizes import MIB
from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.environment import describe_host
from edge.runtime.errors import DataError
from edge.runtime.fusion import Fusion, complete_rig
from edge.runtime.memory_budget import peak_bytes
from edge.runtime.statistics import Distribution, minimum_samples
from edge.runtime.trace.road_recorder import ABSENT
from edge.runtime.trace.spans import (
    ages_ns,
    latencies_ns,
    result_rate_hz,
    road_spans,
    select_roads,
    stage_durations_ns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge.profile.sample_rule import SamplingConfig
    from edge.profile.streaming.live_run import LiveRun
    from edge.run_engine import RunEngine
    from edge.runtime.bundle import Bundle
    from edge.runtime.live_clock import LiveClock
    from edge.runtime.rig import Rig
    from edge.runtime.sources.base import Source
    from edge.runtime.statistics import WarmUp
    from edge.runtime.trace.road_recorder import Roads

DURATION_S = 30.0
# Results of the first seconds do not count: windows of sound fill, and caches warm.
SETTLE_S = 2.0
MOST_SPANS = 2_000
_NS_PER_US = 1e3
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def profile_stream(
    bundle: Bundle,
    source: Source,
    engine: RunEngine,
    rule: SamplingConfig,
    *,
    settle_s: float = SETTLE_S,
    warm_up: WarmUp = WARM_UP,
    clock: LiveClock | None = None,
    root: Path = Path("/"),
    on_result: Callable[[], None] | None = None,
) -> Profile:
    """Profiles a bundle as it runs.

    Args:
        bundle: The model.
        source: Feeds it, at the pace of its arrivals.
        engine: Runs one of the bundle's graphs.
        rule: How long: its `duration_s`, or what its samples take at the anchor's rate; 30 s where it says neither.
        settle_s: Results so soon after the first sample do not count; on top of the rule's time.
        warm_up: When the model counts as warm, before anything is fed.
        clock: Of the run, on the axis of the source's arrivals; the host's by default.
        root: Below which the system's files are.
        on_result: Called after each result.

    Raises:
        ConfigError: Fewer results than the rule's percentile needs.
        DataError: No result counts.
        EdgeError: Source, rig, bundle or model are at fault.
    """
    rig = complete_rig(source.rig, bundle)
    fusion = Fusion(bundle, rig, engine.engine)
    warmth = warmed(fusion.warm_up, warm_up)
    threads = getattr(engine.engine, "thread_settings", {"engine": engine.threads})
    surroundings = Surroundings(threads, root)
    with surroundings:
        run = run_live(fusion, rig, source, run_length_s(rule, rig, settle_s), clock=clock, on_result=on_result)
    counted = _counted(run, settle_s)
    latencies = latencies_ns(counted)
    if not len(latencies):
        raise DataError(
            f"{source.description}: no result after the first {settle_s:g} s, so there is nothing to time",
            "give a source that delivers what the model reads, or a longer --duration",
        )
    rule.check_taken(len(latencies))
    asked_hz = rig.stream(rig.anchor).rate_hz
    return Profile(
        subject=streamed_subject(bundle, engine.engine),
        scenario="stream",
        source=source.description,
        seed=rule.seed,
        warm_up_calls=warmth.calls,
        stable=warmth.stable,
        latency_ms=measured_ms(latencies),
        stages_ms={name: measured_ms(taken) for name, taken in stage_durations_ns(counted, rig.anchor).items()},
        age_ms={name: Distribution.of(ages, NS_PER_MS) for name, ages in ages_ns(counted).items()},
        throughput_hz=result_rate_hz(counted),
        asked_hz=asked_hz,
        delivered_hz=run.delivered_hz,
        dropped=dict(sorted(run.trace.dropped.items())),
        memory_peak_mib=peak_bytes() / MIB,
        energy=surroundings.energy(run.trace.fused),
        before=surroundings.before,
        after=surroundings.after,
        environment=describe_host(threads={"engine": engine.threads}),
        spans=span_excerpt(counted, MOST_SPANS),
        notes=(
            f"Graph {engine.engine.name}: {engine.reason}.",
            *engine.notes,
            *_run_notes(run, counted, rig, latencies, settle_s),
            *surroundings.notes,
        ),
    )


def run_length_s(rule: SamplingConfig, rig: Rig, settle_s: float = SETTLE_S) -> float:
    """How long a source must deliver: what settles, and then the rule's time, or its samples at the anchor's rate."""
    if rule.duration_s is not None:
        return settle_s + rule.duration_s
    if rule.samples is None and rule.percentile is None:
        return settle_s + DURATION_S
    # One more period for each end, where a sample may fall outside.
    return settle_s + (rule.most + 2) / rig.stream(rig.anchor).rate_hz


def span_excerpt(roads: Roads, most: int) -> tuple[Span, ...]:
    """The last whole results whose steps are at most `most`, counted from the first of these steps on."""
    last = len(roads.fields["number"])
    keep = max(1, most // (len(roads.streams) + 6))  # steps of one result: an arrival a stream, and six stages
    chosen = roads.fields["number"] >= (roads.fields["number"][max(0, last - keep)] if last else 0)
    found = sorted(road_spans(select_roads(roads, chosen)), key=lambda span: span.start_ns)
    begin_ns = found[0].start_ns if found else 0
    return tuple(
        Span(
            track=span.track,
            name=span.stage,
            start_us=(span.start_ns - begin_ns) / _NS_PER_US,
            duration_us=span.duration_ns / _NS_PER_US,
            number=span.number,
        )
        for span in found[:most]
    )


def _counted(run: LiveRun, settle_s: float) -> Roads:
    since_ns = (run.first_ns or 0) + round(settle_s * NS_PER_S)
    return select_roads(run.roads, run.roads.fields["ready"] >= since_ns)


def _run_notes(run: LiveRun, counted: Roads, rig: Rig, latencies: NDArray[np.int64], settle_s: float) -> Iterator[str]:
    slow = slowness_note(rig.anchor, rig.stream(rig.anchor).rate_hz, run.delivered_hz)
    if slow is not None:
        yield slow
    n = len(latencies)
    lacking = [
        f"{name} (takes {minimum_samples(share):,})" for name, share in _SHARES.items() if n < minimum_samples(share)
    ]
    if lacking:
        yield f"{n} results are too few for {' and '.join(lacking)}."
    yield from dependence_notes(latencies)
    yield f"Results of the first {settle_s:g} s do not count."
    blind = int((counted.fields["engine"] == ABSENT).sum())
    if blind:
        yield f"{blind} results are blind: the model did not run, and they are in no latency."
    if run.trace.predicted:
        yield f"{run.trace.predicted} results are of predicted ticks, which waited for no sample: no latency is theirs."
    if run.trace.deadline_misses:
        yield f"{run.trace.deadline_misses} sets went out at their deadline with a stream still awaited."
    if counted.lost:
        yield f"The {counted.lost} earliest results were not kept: more came than the anchor's rate promises."
