"""Reading ahead: order, bound, errors and the end of the thread."""

from __future__ import annotations

import threading
from itertools import count, islice
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.runtime.errors import SourceError
from edge.runtime.live.read_ahead import ReadAhead
from edge.runtime.sample import Reading, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = Reading(np.zeros(1, np.float32), ("x",))


def numbered(limit: int | None = None, taken: list[int] | None = None) -> Iterator[Sample]:
    for k in count() if limit is None else range(limit):
        if taken is not None:
            taken.append(k)
        yield Sample("x", k, k, k, ROW)


@pytest.mark.parametrize("amount", [0, 1, 5, 64, 200])
def test_gives_everything_in_order(amount: int) -> None:
    with ReadAhead(numbered(amount)) as samples:
        assert [s.seq for s in samples] == list(range(amount))


def test_the_queue_is_bounded_and_leaving_ends_the_thread() -> None:
    taken: list[int] = []
    before = threading.active_count()
    with ReadAhead(numbered(taken=taken), ahead=8) as samples:
        assert [s.seq for s in islice(samples, 3)] == [0, 1, 2]
    assert len(taken) <= 8 + 3 + 1
    assert threading.active_count() == before


def test_what_the_reader_raises_comes_after_what_it_read() -> None:
    def broken() -> Iterator[Sample]:
        yield from numbered(3)
        raise SourceError("it broke", "mend it")

    got: list[int] = []
    with pytest.raises(SourceError, match="it broke"), ReadAhead(broken()) as samples:
        got.extend(s.seq for s in samples)
    assert got == [0, 1, 2]


def test_an_exception_outside_ends_the_thread() -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), ReadAhead(numbered()) as samples:
        next(samples)
        raise KeyboardInterrupt
    assert threading.active_count() == before
