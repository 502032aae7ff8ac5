"""Arrays and plain values between the ranks of a job, without pickle.

All functions are collective: every rank calls them, in the same order. One process alone gets back what it gave.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import distributed

from edge.compress.parallel.ranks import current_ranks
from edge.compress.parallel.retold import ToldError
from edge.runtime.errors import DataError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

Item = TypeVar("Item")


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of all ranks' tensors, which share shape and dtype; exact for integers."""
    return _reduced(values, distributed.ReduceOp.SUM)


def max_over_ranks(values: Tensor) -> Tensor:
    """Largest of all ranks' values, element by element."""
    return _reduced(values, distributed.ReduceOp.MAX)


def gather_arrays(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Every rank's array, in the order of ranks; they may differ in all but dtype and number of axes.

    Raises:
        DataError: They differ there, or hold objects.
    """
    if current_ranks().world == 1:
        return [array]
    if array.dtype.hasobject:
        raise DataError(f"an array of {array.dtype} cannot go between processes", "use numbers")
    kinds = _gather_bytes(f"{array.dtype.str} with {array.ndim} axes".encode())
    if len(set(kinds)) != 1:
        found = ", ".join(sorted({kind.decode() for kind in kinds}))
        raise DataError(f"ranks hold arrays of different kinds: {found}", "give all ranks one dtype and axis count")
    shapes = [np.frombuffer(part, np.int64) for part in _gather_bytes(np.array(array.shape, np.int64).tobytes())]
    contents = _gather_bytes(np.ascontiguousarray(array).tobytes())
    return [
        np.frombuffer(content, array.dtype).reshape(tuple(shape)).copy()
        for content, shape in zip(contents, shapes, strict=True)
    ]


def gather_values(value: Any) -> list[Any]:
    """Every rank's value, in the order of ranks, by way of JSON: numbers, strings, lists and dicts of them.

    One process alone takes the same way, so that nothing depends on how many there are.

    Raises:
        DataError: JSON cannot hold it.
    """
    try:
        text = json.dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise DataError(
            f"a value cannot go between processes ({error})", "use numbers, strings, lists, dicts"
        ) from error
    return [json.loads(part) for part in _gather_bytes(text)]


def spread(items: Sequence[Item], work: Callable[[Item], Any]) -> list[Any]:
    """`work` of every item, in the order of `items`, on every rank; each item is done by one rank.

    Results travel as JSON, so that `work` must give what JSON can hold.

    Raises:
        EdgeError: What `work` raised, on all ranks and not on its own alone, which would leave the others waiting.
    """
    ranks = current_ranks()
    done, failure = _attempt(items[ranks.rank :: ranks.world], work)
    told = None if failure is None else ToldError.of(failure).model_dump()
    parts = gather_values({"results": done, "failure": told})
    if failure is not None:
        raise failure
    for rank, part in enumerate(parts):
        if part["failure"] is not None:
            raise ToldError.model_validate(part["failure"]).retold(rank)
    return [parts[i % ranks.world]["results"][i // ranks.world] for i in range(len(items))]


def first_alone(work: Callable[[], Any]) -> Any:
    """What `work` gives on the first rank, on every rank; the others wait until it is done.

    For what one process must do for all: drawing, writing, timing. What it wrote, the others may read afterwards.

    Args:
        work: Gives what JSON can hold.

    Raises:
        EdgeError: What `work` raised, on all ranks.
    """
    return spread([None], lambda _: work())[0]


def _attempt(items: Sequence[Item], work: Callable[[Item], Any]) -> tuple[list[Any], EdgeError | None]:
    done: list[Any] = []
    for item in items:
        try:
            done.append(work(item))
        except EdgeError as error:
            return done, error
    return done, None


def _reduced(values: Tensor, operation: Any) -> Tensor:
    result = values.detach().clone()
    if current_ranks().world > 1:
        distributed.all_reduce(result, operation)
    return result


def _gather_bytes(part: bytes) -> list[bytes]:
    """Padded to the longest, for a collective moves tensors of one size."""
    world = current_ranks().world
    if world == 1:
        return [part]
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(world)]
    distributed.all_gather(lengths, torch.tensor([len(part)]))
    longest = max(1, *(int(length) for length in lengths))
    mine = torch.zeros(longest, dtype=torch.uint8)
    mine[: len(part)] = torch.frombuffer(bytearray(part) or bytearray(1), dtype=torch.uint8)[: len(part)]
    parts = [torch.empty(longest, dtype=torch.uint8) for _ in range(world)]
    distributed.all_gather(parts, mine)
    return [p.numpy().tobytes()[: int(length)] for p, length in zip(parts, lengths, strict=True)]
