"""Processes that share one job, started by `torchrun` or `accelerate launch`, or not at all: one alone is 0 of 1.

torch is imported when it is needed: how a process was launched can be asked without it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.runtime.errors import ConfigError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch._C._distributed_c10d import Store


_ALONE: ContextVar[bool] = ContextVar("working_alone", default=False)


@dataclass(frozen=True)
class Ranks:
    """One process among those of a job.

    Attributes:
        rank: Its number, from 0.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """This rank's block of `count` rows; all ranks' blocks in order are the whole, of sizes that differ by one."""
        return slice(count * self.rank // self.world, count * (self.rank + 1) // self.world)


def current_ranks() -> Ranks:
    """This process among those that have joined.

    Raises:
        ConfigError: It was launched as one of several and has not joined, or the group cannot move CPU tensors.
    """
    from torch import distributed

    if _ALONE.get():
        return Ranks()
    if _has_group():
        if "gloo" not in str(distributed.get_backend_config()):
            raise ConfigError(
                f"the processes are joined by '{distributed.get_backend()}', which moves no CPU tensors",
                "join with backend 'gloo' or 'cpu:gloo,cuda:nccl'; with Accelerate: PartialState(cpu=True)",
            )
        return Ranks(distributed.get_rank(), distributed.get_world_size())
    launched = launched_ranks()
    if launched.world > 1:
        raise ConfigError(
            f"this is process {launched.rank} of {launched.world} and it has not joined the others",
            "run inside `with joined_ranks():`, or each process does the whole work for itself",
        )
    return Ranks()


@contextmanager
def joined_ranks(timeout_s: float = 1800.0) -> Iterator[Ranks]:
    """Joins the processes that `torchrun` or `accelerate launch` started, by gloo; leaves them at the end.

    A group that exists already (made by `accelerate.PartialState`, say) is used and left alone.

    Args:
        timeout_s: How long one rank waits for another before it gives up.

    Raises:
        ConfigError: The launcher's variables are incomplete or wrong.
    """
    if _has_group() or launched_ranks().world == 1:
        yield current_ranks()
        return
    join_group(timeout_s)
    try:
        yield current_ranks()
    finally:
        leave_group()


def join_group(timeout_s: float) -> Store:
    """Makes the group of the launched processes, by gloo, and hands back the store that they met in.

    The store outlives the group: what one process writes there the others can read when the group is broken.

    Args:
        timeout_s: How long one rank waits for another before it gives up.

    Raises:
        ConfigError: The launcher's variables are incomplete or wrong.
    """
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    limit = timedelta(seconds=timeout_s)
    store: Store
    try:
        store, rank, world = next(iter(rendezvous("env://", timeout=limit)))
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=limit)
    except (ValueError, RuntimeError) as error:
        problem = f"the processes cannot be joined ({first_line(error)})"
        raise ConfigError(problem, "launch them with torchrun") from error
    return store


def leave_group() -> None:
    """Leaves the group, if there is one; ranks that wait for this one in it are woken by an error."""
    from torch import distributed

    if _has_group():
        distributed.destroy_process_group()


def _has_group() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


@contextmanager
def working_alone() -> Iterator[None]:
    """Inside, this process does by itself what several would share, while the others wait for it elsewhere."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def launched_ranks() -> Ranks:
    """What the launcher says of this process; 0 of 1 where there was none.

    Raises:
        ConfigError: Its variables are no numbers.
    """
    found = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
    if None in found.values():
        return Ranks()
    try:
        return Ranks(int(found["RANK"] or ""), int(found["WORLD_SIZE"] or ""))
    except ValueError as error:
        raise ConfigError(f"the launcher's variables are no numbers: {found}", "launch with torchrun") from error
