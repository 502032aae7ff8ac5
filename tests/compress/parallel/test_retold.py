"""An error keeps its words and its exit code on its way to other ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.compress.parallel.retold import KINDS, ToldError
from edge.runtime.errors import EdgeError, GateError

if TYPE_CHECKING:
    from collections.abc import Callable


class OwnRefusalError(GateError):
    """As packages define beside `edge.runtime.errors`."""


@pytest.mark.parametrize("kind", [*KINDS.values(), OwnRefusalError])
def test_words_and_exit_code_arrive(kind: Callable[[str, str], EdgeError]) -> None:
    raised = kind("the file is gone", "look for it")
    told = ToldError.model_validate_json(ToldError.of(raised).model_dump_json()).retold(3)
    assert str(told) == "the file is gone (on rank 3); look for it"
    assert told.exit_code == raised.exit_code
    assert isinstance(raised, type(told))


def test_a_kind_that_is_none_of_ours_is_a_plain_error() -> None:
    told = ToldError(kind="SystemExit", problem="no", remedy="do").retold(1)
    assert type(told) is EdgeError
