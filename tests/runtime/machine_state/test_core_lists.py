"""Lists of cores: there and back, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.machine_state.core_lists import format_cores, parse_cores


@given(st.sets(st.integers(0, 300)))
def test_there_and_back(cores: set[int]) -> None:
    assert parse_cores(format_cores(cores)) == tuple(sorted(cores))


@pytest.mark.parametrize(("text", "cores"), [("0-3,6", (0, 1, 2, 3, 6)), ("4 5\n", (4, 5)), ("2", (2,)), ("", ())])
def test_as_the_kernel_writes_them(text: str, cores: tuple[int, ...]) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["a", "1-", "-1", "0-3,x", "0x3", "1-999999999"])
def test_what_is_no_list_is_no_core(text: str) -> None:
    assert parse_cores(text) == ()
