"""Two processes pretrain and align as one does: each sample is told apart from those of both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from tests.edge.training.pretraining import two_pretrainings
from tests.edge.training.pretraining.cases import small_model

if TYPE_CHECKING:
    from torch import Tensor

LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What two processes came to, by rank."""
    folder = tmp_path_factory.mktemp("two")
    root = str(Path(__file__).resolve().parents[4])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    command = [sys.executable, *LAUNCH, str(Path(two_pretrainings.__file__)), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.fixture(scope="module")
def one() -> dict[str, Tensor]:
    return two_pretrainings.work(rank=0)


def test_all_ranks_end_with_equal_weights(two: list[dict[str, Tensor]]) -> None:
    first, second = two
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("kind", ["sigmoid", "info_nce", "labels"])
def test_alignment_is_that_of_one_process(two: list[dict[str, Tensor]], one: dict[str, Tensor], kind: str) -> None:
    untrained, moved = small_model(seed=0).state_dict(), 0.0
    for name, value in one.items():
        if name.startswith(kind):
            torch.testing.assert_close(two[0][name], value, rtol=1e-3, atol=1e-3)
            moved = max(moved, float((value - untrained[name.removeprefix(f"{kind}.")]).abs().max()))
    assert moved > 0.02, "training does much more than the tolerance"
