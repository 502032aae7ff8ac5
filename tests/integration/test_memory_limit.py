"""What a run was planned to take is what it takes at most, and over the limit it is refused before it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
FAULTS = [
    "--fault",
    "camera:burst@2s+3s",
    "--fault",
    "lidar:late@4s+3s,p=.5,by=150ms",
    "--fault",
    "audio:drop@6s,p=.02",
]
# The peak before the run (imports, loading the engine) is not the run's: the kernel forgets it when told to.
CODE = """
import json, sys
from pathlib import Path
from edge.fused_run import run_bundle
from edge.run_engine import open_engine
from edge.runtime.bundle import Bundle
from edge.runtime.memory_budget import resident_bytes
from edge.runtime.pipeline import RunSettings
from edge.runtime.sources.grammar import open_sources

def forget_peak(plan):
    Path("/proc/self/clear_refs").write_text("5")
    print(json.dumps({"planned": plan.total, "before": plan.items[0].bytes}))

bundle = Bundle.open(Path(sys.argv[1]))
source = open_sources(["sim:seed=2,duration=20"])
run_bundle(bundle, source, Path(sys.argv[2]), RunSettings(), on_plan=forget_peak)
status = Path("/proc/self/status").read_text()
peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
print(json.dumps({"peak": peak * 1024}))
"""


def edge(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_the_peak_stays_below_the_plan(small_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(small_bundle), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    plan, measured = (json.loads(line) for line in done.stdout.splitlines())
    assert plan["before"] < measured["peak"] <= plan["planned"]


def test_a_run_over_the_limit_is_refused_before_it_starts(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = edge("run", str(small_bundle), "--source", "sim", "--out", str(out), "--memory-limit", "20MB")
    assert done.returncode == 2
    assert "the limit is 19.1 MiB" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not out.exists()


def test_a_generous_limit_stands_in_the_report(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = (
        "run",
        str(small_bundle),
        "--source",
        "sim:duration=3",
        "--out",
        str(out),
        "--memory-limit",
        "4GiB",
        "--json",
    )
    done = edge(*run, *FAULTS)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["memory_limit_mib"] == 4096
    assert report["memory_mib"]["the process with its libraries and the engine"] > 10
    assert any(part.startswith("camera: ") for part in report["memory_mib"])


def test_what_is_no_size_is_a_mistake(small_bundle: Path, tmp_path: Path) -> None:
    done = edge("run", str(small_bundle), "--source", "sim", "--out", str(tmp_path / "run"), "--memory-limit", "lots")
    assert done.returncode == 2
    assert "'lots' is no size of memory" in done.stderr
