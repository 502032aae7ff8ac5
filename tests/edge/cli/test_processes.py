"""A verb on two processes: however one fails, all end soon, with one exit code, and what went wrong is said once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.cli.processes import refuse_several
from edge.compress.parallel.endings import JOB_TIMEOUT_S
from edge.runtime.errors import ConfigError
from tests.edge.cli import failing_job

LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ENDED = re.compile(r"rank +: (\d).*?exitcode +: (-?\d+)", re.DOTALL)


def run(manner: str) -> tuple[dict[int, int], str, str]:
    """Exit code by rank, as torchrun lists those that are not 0; stdout and stderr."""
    command = [sys.executable, *LAUNCH, str(Path(failing_job.__file__)), manner]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    codes = {int(rank): int(code) for rank, code in ENDED.findall(done.stderr)}
    assert bool(codes) == bool(done.returncode), done.stderr
    return codes, done.stdout, done.stderr


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("manner", "code", "message"),
    [
        ("refused", 3, "edge: one layer is too slow (on rank 1); prune it"),
        ("alike", 3, "edge: all lose too much; train longer"),
        ("crashed", 1, "edge: process 1 ended by TypeError: no such attribute"),
    ],
)
def test_all_end_with_one_code_and_the_first_says_why(manner: str, code: int, message: str) -> None:
    started = time.monotonic()
    codes, out, err = run(manner)
    assert codes == {0: code, 1: code}
    assert err.count("edge: ") == err.count(message) == 1
    assert out == "rank 0 begins\n", "the other process is silent"
    assert (", in job\n" in err) == (manner == "crashed"), "only what nobody foresaw has a traceback"
    assert time.monotonic() - started < 120 < JOB_TIMEOUT_S, "nobody waits out a timeout"


def test_what_one_process_does_alone_is_refused_to_several(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_several("this is for one process")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="this is for one process; run the command without torchrun"):
        refuse_several("this is for one process")
