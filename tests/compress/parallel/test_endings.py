"""What an ending says to the other processes; that they end alike is tested in `tests/edge/cli/test_processes.py`."""

from __future__ import annotations

import pytest

from edge.compress.parallel.endings import Ending, PeerError, ending_together
from edge.compress.parallel.ranks import Ranks
from edge.runtime.errors import DataError, GateError


def test_one_process_alone_just_runs() -> None:
    with ending_together() as ranks:
        assert ranks == Ranks(0, 1)
    with pytest.raises(DataError, match="as it was"), ending_together():
        raise DataError("as it was", "mend it")


def test_what_an_exception_means_for_the_others() -> None:
    lost = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]")
    assert Ending.by(0, None).manner == "done"
    assert Ending.by(0, lost).manner == "cut off"
    crashed = Ending.by(1, RuntimeError("shapes differ\nat length"))
    assert isinstance(crashed.as_error(), PeerError)
    assert "process 1 ended by RuntimeError: shapes differ;" in str(crashed.as_error())
    refused = Ending.by(2, GateError("too slow", "prune"))
    assert (refused.as_error().exit_code, str(refused.as_error())) == (3, "too slow (on rank 2); prune")
    assert Ending.model_validate_json(refused.model_dump_json()) == refused
