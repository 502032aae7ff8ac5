"""A run in virtual time: it stands still while the model runs, and then moves by a fixed compute time.

Everything follows from the samples and the settings, so a run repeats byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.clock import VirtualClock
from edge.runtime.synchronize.tally import OVERRUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge.runtime.fusion import Fusion
    from edge.runtime.result import FusedResult
    from edge.runtime.run_steps import RunSteps
    from edge.runtime.sample import Sample
    from edge.runtime.synchronize.synced import SyncedSet
    from edge.runtime.synchronizer import Synchronizer


class VirtualRun:
    """Feeds samples to a synchronizer and its sets to a model; of sets that queue up meanwhile the latest wins.

    Args:
        steps: Around matching and the model.
        fusion: The model.
        sync: Matches.
        compute_ns: How long the model takes.
        on_result: Called with each result.
    """

    def __init__(
        self,
        steps: RunSteps,
        fusion: Fusion,
        sync: Synchronizer,
        compute_ns: int,
        on_result: Callable[[FusedResult], None],
    ) -> None:
        self._steps, self._fusion, self._sync = steps, fusion, sync
        self._compute_ns, self._on_result = compute_ns, on_result
        self._clock = VirtualClock()
        self._waiting: SyncedSet | None = None

    def go(self, samples: Iterable[Sample]) -> None:
        """Runs to the end of the samples.

        Raises:
            ModelError: The engine failed.
        """
        given = iter(samples)
        sample = next(given, None)
        while sample is not None:
            due_ns = self._sync.next_deadline_ns()
            self._clock.wait_until_ns(sample.arrival_ns if due_ns is None else min(sample.arrival_ns, due_ns))
            sample = self._catch_up(sample, given)
            self._fuse_latest()
        for synced in self._sync.flush():
            self._queue(synced)
            self._fuse_latest()

    def _catch_up(self, sample: Sample | None, given: Iterator[Sample]) -> Sample | None:
        """Everything that was due up to now, in its order: while the model ran, time went on. Gives what is next."""
        now_ns = self._clock.now_ns()
        while sample is not None:
            due_ns = self._sync.next_deadline_ns()
            if due_ns is not None and due_ns <= min(now_ns, sample.arrival_ns):
                self._queue_all(self._sync.advance(due_ns))
            elif sample.arrival_ns <= now_ns:
                if self._steps.admit(sample).is_matched:
                    self._queue_all(self._sync.push(sample))
                sample = next(given, None)
            else:
                break
        return sample

    def _queue_all(self, sets: Iterable[SyncedSet]) -> None:
        for synced in sets:
            self._queue(synced)

    def _queue(self, synced: SyncedSet) -> None:
        """A mailbox of one: the latest wins."""
        if self._waiting is not None:
            self._steps.trace.dropped[OVERRUN] += 1
        self._waiting = synced

    def _fuse_latest(self) -> None:
        if self._waiting is None:
            return
        synced, self._waiting = self._waiting, None
        inference = self._fusion.run(self._steps.compensate(synced))
        if inference.times is not None:
            self._clock.wait_until_ns(self._clock.now_ns() + self._compute_ns)
        self._on_result(self._steps.conclude(inference, self._clock.now_ns()))
