"""The synchronizers that are compared, ours and the peers', behind one face: load, play against the clock, record."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from matching import Sets
from peers import process
from streams import ANCHOR, MS, Recording, Rig

from edge.runtime.synchronize.policies import Anchored, Exact, Latest, Optimal, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUDGET_NS = 60 * MS
QUEUE, SLOP_NS = 10, 50 * MS  # of the peers; embodied-sync has no tolerance and keeps its queue of 32
STREAMS = 3


class Synchronizer(Protocol):
    """One side."""

    def load(self, recording: Recording, rig: Rig) -> None:
        """Makes its own messages of the recording's, outside what is timed."""

    def play(self) -> float:
        """Seconds a message."""

    def record(self) -> Sets:
        """What it emits."""


class Ours:
    """A policy of the C++ core, replayed in C++."""

    def __init__(self, make: Callable[[Rig], Policy], repeat: int = 20) -> None:
        self._make, self._repeat = make, repeat

    def load(self, recording: Recording, rig: Rig) -> None:
        """The core's messages are the recording's."""
        self._messages, self._rig = recording.messages, rig

    def play(self) -> float:
        """The policy alone: no payload, no wake."""
        seconds = sum(self._make(self._rig).timed_replay(self._messages)[0] for _ in range(self._repeat))
        return seconds / self._repeat / len(self._messages.streams)

    def record(self) -> Sets:
        """In virtual time."""
        return Sets.of_ours(self._make(self._rig).replay(self._messages), STREAMS)


class FromPython(Ours):
    """The same policy, each message pushed by a Python loop that takes the sets and what was let go of."""

    def load(self, recording: Recording, rig: Rig) -> None:
        """Plain integers."""
        super().load(recording, rig)
        columns = (recording.messages.streams, recording.messages.stamps_ns, recording.messages.arrivals_ns)
        self._rows = list(zip(*(column.tolist() for column in columns), range(len(columns[0])), strict=True))

    def play(self) -> float:
        """As `Policy.push` is called."""
        policy = self._make(self._rig)
        push, count = policy.push, 0
        start = perf_counter()
        for row in self._rows:
            if push(*row):
                count += len(policy.take_released())
        return (perf_counter() - start) / len(self._rows)


class Theirs:
    """A peer in a process of its own.

    Args:
        peer: Where it runs.
        settings: Fields that its commands take, of a rig.
        repeat: Passes a turn.
    """

    def __init__(self, peer: process.Peer, settings: Callable[[Rig], list[Any]], repeat: int = 1) -> None:
        self._peer, self._settings_of, self._repeat = peer, settings, repeat

    def load(self, recording: Recording, rig: Rig) -> None:
        """Through a file of (stream, stamp, arrival)."""
        m = recording.messages
        self._recording, self._settings = recording, self._settings_of(rig)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "messages"
            np.stack([m.streams, m.stamps_ns, m.arrivals_ns], axis=1).tofile(path)
            assert self._peer.ask("load", path) == len(m.streams)

    def play(self) -> float:
        """The peer's own clock around its own loop."""
        seconds: float = self._peer.ask("play", *self._settings, self._repeat)["seconds"]
        return seconds / self._repeat / len(self._recording.messages.streams)

    def record(self) -> Sets:
        """A set is emitted at the arrival of the message that was being added."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sets"
            self._peer.ask("record", *self._settings, path)
            return Sets.of_peer(np.fromfile(path, np.int64).reshape(-1, 1 + STREAMS), self._recording)


def anchored(rig: Rig) -> Policy:
    """The default policy."""
    return Anchored(rig.specs, ANCHOR, budget_ns=BUDGET_NS)


def optimal(rig: Rig) -> Policy:
    """ROS's algorithm in our core, so that both can be seen to give the same until a clock steps."""
    return Optimal(rig.one_by_one.specs, ANCHOR, max_interval_ns=SLOP_NS)


OURS: dict[str, Callable[[Rig], Policy]] = {
    "edge": anchored,
    "edge, optimal": optimal,
    "edge, latest": lambda rig: Latest(rig.one_by_one.specs, ANCHOR),
    "edge, exact": lambda rig: Exact(rig.one_by_one.specs),
}
PYTHON = "edge, pushed from Python"
PEERS = ("ROS C++", "ROS C++, rate bounds", "ROS Python", "embodied-sync")


def peers() -> Iterator[tuple[str, process.Peer | process.Missing, Callable[[process.Peer], Synchronizer]]]:
    """Name, worker and side of each; the two of ROS C++ share a worker."""
    plain, bounded, python, embodied = PEERS
    cpp = process.ros_cpp()
    yield plain, cpp, lambda peer: Theirs(peer, lambda rig: [QUEUE, SLOP_NS, 0, 0, 0], 4)
    yield bounded, cpp, lambda peer: Theirs(peer, lambda rig: [QUEUE, SLOP_NS, *rig.lower_bounds_ns], 4)
    yield python, process.ros_python(), lambda peer: Theirs(peer, lambda rig: [QUEUE, SLOP_NS])
    yield embodied, process.embodied_sync(), lambda peer: Theirs(peer, lambda rig: [])
