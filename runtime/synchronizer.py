"""Matches samples of several streams: anchored nearest match, watermarks, a hard deadline, fail-over and epochs.

For each sample of the anchor stream every other stream gives what is nearest to its stamp; sound gives the window
that ends there, a table that is read as series the last readings up to the nearest. A set is emitted as soon as
nothing that may still arrive could be nearer, and at the latest `budget_ms` after the anchor's arrival. An anchor that
stays away for 1.5 periods is replaced by the tick where it should have been, so one dead sensor never silences the
others: once there was a set, the next one comes within two periods of the anchor and 20 ms. Emitted stamps only ever
grow.

Everything is a function of the arguments: no thread, no clock, no wait. The matching itself is the C++ core's
`anchored` policy (`edge.runtime.synchronize.policies`); here samples take the place of its handles.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edge.runtime.synchronize.policies import Anchored
from edge.runtime.synchronize.rig_streams import streams_of
from edge.runtime.synchronize.series import histories_of
from edge.runtime.synchronize.synced import is_usable, message_duration_ns, synced_set
from edge.runtime.synchronize.tally import UNUSABLE, clock_counts, drop_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.synchronize.messages import MatchedSet, StreamHealth
    from edge.runtime.synchronize.synced import SyncedSet


class Synchronizer:
    """Feeds on samples, gives `SyncedSet`s.

    Args:
        rig: Rates, clocks, policies, the anchor and the budget.
        streams: Those that will be pushed; others in the rig are ignored. The anchor may be absent.
        window_ns: Length of the window of each audio stream.
        steps: Readings of a series, of each table stream that is read as such.

    Raises:
        RigError: The rig lacks a stream.
        ConfigError: Its numbers contradict each other, or a series is asked of a stream that is no table.
    """

    def __init__(
        self,
        rig: Rig,
        streams: Iterable[str],
        window_ns: Mapping[str, int],
        steps: Mapping[str, int] | None = None,
    ) -> None:
        announced = tuple(streams)
        self._histories = histories_of(rig, announced, steps or {})
        self._streams = streams_of(rig, announced, window_ns)
        self._positions = {name: i for i, name in enumerate(self._streams.names) if name in announced}
        self._policy = Anchored(self._streams.specs, self._streams.anchor, budget_ns=self._streams.budget_ns)
        self._samples: dict[int, Sample] = {}  # those that the policy still refers to, by handle
        self._handle = 0
        self._now_ns = 0
        self._unusual: Counter[str] = Counter()

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of all streams that a set tells of."""
        return self._streams.names

    @property
    def held_samples(self) -> int:
        """How many samples wait for their set, or may be needed again; readings of past sets for a series aside."""
        return len(self._samples)

    @property
    def counts(self) -> dict[str, int]:
        """Everything unusual, as `stream:what`: the reasons of `dropped`, reordered, clock_step, concealed."""
        clocks = clock_counts(self._streams.names, self._policy.health)
        return dict(sorted({**self._unusual, **self.dropped}.items())) | clocks

    @property
    def dropped(self) -> dict[str, int]:
        """Samples that were not used, as `stream:reason`."""
        found = drop_counts(self._streams.names, self._policy.health)
        return found | {key: n for key, n in self._unusual.items() if key.endswith(f":{UNUSABLE}")}

    @property
    def offsets_ns(self) -> dict[str, int]:
        """What is now added to each stream's stamps."""
        return {
            name: spec.latency_offset_ns + self._policy.health(i).epoch_offset_ns
            for i, (name, spec) in enumerate(zip(self._streams.names, self._streams.specs, strict=True))
        }

    def health(self, stream: str) -> StreamHealth:
        """Delays, clock offset and drift, epochs, and what was let go of.

        Raises:
            ConfigError: The stream takes no part.
        """
        names = self._streams.names
        return self._policy.health(names.index(stream) if stream in names else len(names))

    def push(self, sample: Sample) -> list[SyncedSet]:
        """Takes a sample at its arrival; returns the sets that it completed, and those that were due before.

        Samples of streams that were not announced are ignored.
        """
        self._now_ns = max(self._now_ns, sample.arrival_ns)
        position = self._positions.get(sample.stream)
        if position is None:
            return self.advance(self._now_ns)
        window_ns, history = self._streams.specs[position].window_ns, self._histories.get(sample.stream)
        if not is_usable(sample, sound=window_ns > 0, series=history is not None):
            self._unusual[f"{sample.stream}:{UNUSABLE}"] += 1
            return self.advance(self._now_ns)
        if history is not None:
            history.add(sample)
        self._handle += 1
        self._samples[self._handle] = sample
        duration_ns = message_duration_ns(sample) if window_ns else 0
        matched = self._policy.push(
            position,
            sample.stamp_ns,
            sample.arrival_ns,
            self._handle,
            duration_ns=duration_ns,
            now_ns=self._now_ns,
        )
        return self._settle(matched)

    def advance(self, now_ns: int) -> list[SyncedSet]:
        """Lets time pass; returns the sets whose deadlines came."""
        self._now_ns = max(self._now_ns, now_ns)
        return self._settle(self._policy.advance(now_ns))

    def next_deadline_ns(self) -> int | None:
        """When `advance` must be called at the latest, in host time; None before the first sample."""
        return self._policy.next_deadline_ns()

    def flush(self) -> list[SyncedSet]:
        """Emits what is pending with what is there: the source has ended."""
        return self._settle(self._policy.flush(self._now_ns))

    def _settle(self, matched: Sequence[MatchedSet]) -> list[SyncedSet]:
        """Makes the sets, then lets go of the samples that the policy no longer refers to."""
        sets = [synced_set(one, self._streams, self._samples.__getitem__, self._histories) for one in matched]
        for one in sets:
            self._unusual.update(f"{name}:concealed" for name in one.concealed_ms)
        for handle, _, _ in self._policy.take_released():
            del self._samples[handle]
        return sets
