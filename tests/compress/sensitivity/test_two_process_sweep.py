"""Two processes share a sweep: report, plan and graphs are those of one process, to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import save_file

from tests.compress.sensitivity import two_rank_sweep
from tests.compress.sensitivity.conftest import FRAGILE

if TYPE_CHECKING:
    from edge.compress.latency_table import LatencyTable
    from tests.compress.sensitivity.conftest import Fragile

LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def folder(fragile: Fragile, table: LatencyTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both start from."""
    path = tmp_path_factory.mktemp("sweep")
    save_file({name: t.contiguous() for name, t in fragile.model.state_dict().items()}, path / "model.safetensors")
    table.save(path / "table.yaml")
    return path


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_report_plan_and_graphs_are_those_of_one_process(folder: Path) -> None:
    command = [sys.executable, *LAUNCH, str(Path(two_rank_sweep.__file__)), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    alone: dict[str, Any] = json.loads(json.dumps(two_rank_sweep.findings(folder)))
    plan = alone["notes"]["precision_plan"]
    assert plan["precisions"][FRAGILE] == "fp16" and "int8" in plan["precisions"].values(), "there is a plan to compare"
    for rank in range(2):
        assert json.loads((folder / f"{rank}.json").read_text()) == alone
