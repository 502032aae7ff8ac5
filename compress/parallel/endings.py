"""How the processes of a job end: together and with one exit code, whichever of them fails.

A process that fails leaves its group, which wakes those that wait for it there. Each then says in the job's store how
it ended, reads what the others say, and ends as the first one that failed of itself. Without that a launcher would kill
those that are left, and what went wrong would be told by chance.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from edge.compress.parallel.ranks import Ranks, current_ranks, join_group, launched_ranks, leave_group
from edge.compress.parallel.retold import ToldError
from edge.runtime.errors import EdgeError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch._C._distributed_c10d import Store

# For ranks that hang: one that dies is noticed at once. Long, for the first may work alone while the others wait.
JOB_TIMEOUT_S = 4 * 3600.0
GRACE_S = 20.0  # in which the others, who may be computing, can take note of a failure

Manner = Literal["done", "refused", "crashed", "cut off"]


class PeerError(EdgeError):
    """Another process of the job crashed, was killed, or does not answer."""

    exit_code = 1


class Ending(BaseModel):
    """How one rank ended.

    Attributes:
        rank: Which.
        manner: `refused` by an error of ours, `crashed` by another one, `cut off` by losing another rank.
        told: The error of ours.
        crash: Of another error, its class and first line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int
    manner: Manner
    told: ToldError | None = None
    crash: str = ""

    @classmethod
    def by(cls, rank: int, failure: Exception | None) -> Ending:
        """By an exception, or by none."""
        if failure is None:
            return cls(rank=rank, manner="done")
        if isinstance(failure, EdgeError):
            return cls(rank=rank, manner="refused", told=ToldError.of(failure))
        if isinstance(failure, RuntimeError) and "gloo" in str(failure):  # torch has no class of its own for it
            return cls(rank=rank, manner="cut off")
        return cls(rank=rank, manner="crashed", crash=f"{type(failure).__name__}: {first_line(failure)}")

    def as_error(self) -> EdgeError:
        """What the other ranks raise of it."""
        if self.told is not None:
            return self.told.retold(self.rank)
        return PeerError(f"process {self.rank} ended by {self.crash}", "see its traceback, then start the job again")


@contextmanager
def ending_together(timeout_s: float = JOB_TIMEOUT_S) -> Iterator[Ranks]:
    """Runs a whole command on the processes of a job, joined as by `joined_ranks`; one alone just runs it.

    Args:
        timeout_s: How long one rank waits for another before it gives up.

    Raises:
        EdgeError: What the first rank that failed of itself raised, on every rank.
        PeerError: A process crashed or is gone.
        ConfigError: The launcher's variables are incomplete or wrong.
    """
    if launched_ranks().world == 1:
        yield Ranks()
        return
    store, failure = join_group(timeout_s), None
    ranks = current_ranks()
    try:
        try:
            yield ranks
        except Exception as error:  # raised below, or on the rank that it comes from
            failure = error
            _outlive_the_launcher()
            leave_group()
        patience = timeout_s if failure is None else GRACE_S
        endings = _exchanged(store, Ending.by(ranks.rank, failure), ranks.world, patience)
    finally:
        leave_group()
    if any(ending.manner != "done" for ending in endings.values()):
        _outlive_the_launcher()
    _demand_all_done(endings, ranks, failure)


def _outlive_the_launcher() -> None:
    """This process ends of itself soon; a launcher that terminates it before would lose its exit code.

    Launchers terminate the rest as soon as the first has ended. What hangs all the same they kill later.
    """
    if threading.current_thread() is threading.main_thread():  # Python allows it to no other
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _exchanged(store: Store, own: Ending, world: int, patience_s: float) -> dict[int, Ending]:
    """Every rank's ending, by rank, as far as they are told in time."""
    found = {own.rank: own}
    with suppress(RuntimeError):  # the store may be gone with the rank that kept it
        store.set(_key(own.rank), own.model_dump_json())
        with suppress(RuntimeError):  # not all answer in time
            store.wait([_key(rank) for rank in range(world)], timedelta(seconds=patience_s))
        for rank in range(world):
            if store.check([_key(rank)]):
                found[rank] = Ending.model_validate_json(store.get(_key(rank)))
    return dict(sorted(found.items()))


def _key(rank: int) -> str:
    return f"edge/ending/{rank}"


def _demand_all_done(endings: dict[int, Ending], ranks: Ranks, failure: Exception | None) -> None:
    own = endings[ranks.rank]
    if own.manner == "crashed" and failure is not None:
        raise failure
    for manner in ("refused", "crashed"):
        culprit = next((ending for ending in endings.values() if ending.manner == manner), None)
        if culprit is not None:
            raise failure if culprit is own and failure is not None else culprit.as_error() from failure
    if failure is not None or len(endings) < ranks.world:
        raise PeerError(
            "a process of the job is gone, or did not answer in time", "see what it said last, then start the job again"
        ) from failure
