"""Scenario `offline`: all data lies ready, and results a second are what counts."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from edge.profile.assembly import LAYER_ROUNDS, layers_of, profile_of
from edge.profile.surroundings import Surroundings
from edge.profile.timed_loop import WARM_UP, TimedSamples, take_samples, warmed
from edge.runtime.clock import NS_PER_S
from edge.runtime.statistics import WarmUp, paused_collector

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.profile.contents import Profile
    from edge.profile.sample_rule import SamplingConfig
    from edge.profile.subjects.timed import TimedSubject
    from edge.runtime.statistics.timing import NanosecondClock


def profile_offline(
    timed: TimedSubject,
    rule: SamplingConfig,
    at_once: int,
    *,
    layer_rounds: int = LAYER_ROUNDS,
    warm_up: WarmUp = WARM_UP,
    clock: NanosecondClock = time.perf_counter_ns,
    on_samples: Callable[[int], None] | None = None,
) -> Profile:
    """Runs as fast as it goes: whole batches where the subject was opened with one, else inferences side by side.

    A model with a fixed first extent of 1 cannot take a batch; then `at_once` threads run it, each on the same
    inputs. What only one thread may run goes one after the other, and a note says so.

    Args:
        timed: What, opened with the batch where it takes one.
        rule: When it is over; samples are inferences.
        at_once: Samples at a time.
        layer_rounds: Inferences that layers are the mean of; 0 leaves them out.
        warm_up: When it counts as warm.
        clock: Gives nanoseconds.
        on_samples: Called now and then with the inferences so far.

    Raises:
        ConfigError: Fewer samples than the percentile asked for needs.
        EdgeError: The subject fails.
    """
    rule.check_possible()
    workers = at_once if timed.batch == 1 and timed.side_by_side else 1
    around = Surroundings(timed.threads)
    warmth = warmed(timed.run, warm_up, clock)
    with around:
        if workers > 1:
            taken = take_side_by_side(timed.run, rule, workers, clock)
        else:
            taken = take_samples(timed.run, rule, clock=clock, on_chunk=on_samples)
    rule.check_taken(len(taken.durations_ns))
    stages = timed.stages_ns(len(taken.durations_ns)) if workers == 1 else {}
    return profile_of(
        timed,
        "offline",
        rule,
        taken.durations_ns,
        taken.elapsed_ns,
        around,
        warmth,
        at_once=max(timed.batch, workers),
        stages_ns=stages,
        layers=layers_of(timed, layer_rounds),
        notes=_manner(timed, workers, at_once),
    )


def take_side_by_side(
    run: Callable[[], object], rule: SamplingConfig, workers: int, clock: NanosecondClock = time.perf_counter_ns
) -> TimedSamples:
    """Times calls of several threads at once, which share what there is to do.

    Args:
        run: May be called by several threads.
        rule: When it is over.
        workers: Threads.
        clock: Gives nanoseconds, to any thread.

    Raises:
        EdgeError: A call failed.
    """
    tickets = itertools.count()  # one step of it is atomic
    begun = clock()
    end = None if rule.duration_s is None else begun + rule.duration_s * NS_PER_S

    def work() -> list[tuple[int, int]]:
        taken = []
        while next(tickets) < rule.most:
            start = clock()
            run()
            taken.append((start, clock() - start))
            if end is not None and start > end:
                break
        return taken

    with paused_collector(), ThreadPoolExecutor(workers, thread_name_prefix="edge-offline") as pool:
        shares = [future.result() for future in [pool.submit(work) for _ in range(workers)]]
    elapsed = max(1, clock() - begun)
    taken = np.asarray(sorted(itertools.chain.from_iterable(shares)), np.int64).reshape(-1, 2)
    return TimedSamples(taken[:, 0], taken[:, 1], elapsed)


def _manner(timed: TimedSubject, workers: int, at_once: int) -> tuple[str, ...]:
    if timed.batch > 1:
        return (f"Batches of {timed.batch}: latency is of a whole batch, throughput of samples.",)
    if workers > 1:
        return (f"The model takes one sample at a time: {workers} threads ran it side by side.",)
    if at_once > 1:
        return ("The model takes one sample at a time, and one thread only: samples went one after the other.",)
    return ()
