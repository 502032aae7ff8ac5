"""What an import loads, seen from a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_MCAP = ("mcap", "google.protobuf", "foxglove_schemas_protobuf", "lz4", "zstandard")
HEAVY = (
    "torch",
    "onnxruntime",
    "onnx",
    "transformers",
    "cv2",
    "matplotlib",
    "jinja2",
    "scipy",
    "soundfile",
    "cryptography",
    "tensorrt",
    "tensorrt_rtx",
    "rerun",
    *_MCAP,
)
# What a board runs of the compiler: building and verifying engines needs TensorRT and nothing of the training side.
ON_A_BOARD = (
    "edge.compile.board.engine",
    "edge.compile.board.host",
    "edge.compile.board.verification",
    "edge.run_engine",
)
RUNTIME_MODULES = sorted(
    "edge." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "runtime").rglob("*.py")
)


def _loaded_by(*modules: str, cwd: Path) -> list[str]:
    """Heavy top-level packages that importing `modules` loads."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {list(modules)!r}: importlib.import_module(name)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def test_importing_edge_loads_nothing_heavy(tmp_path: Path) -> None:
    assert _loaded_by("edge", cwd=tmp_path) == []


def test_importing_the_whole_runtime_loads_nothing_heavy(tmp_path: Path) -> None:
    assert "edge.runtime.pipeline" in RUNTIME_MODULES
    assert _loaded_by(*RUNTIME_MODULES, cwd=tmp_path) == []


@pytest.mark.parametrize("module", ["edge.cli", "edge.report", "edge.report.table", *ON_A_BOARD])
def test_the_command_and_the_report_load_nothing_heavy(module: str, tmp_path: Path) -> None:
    assert _loaded_by(module, cwd=tmp_path) == []


def test_the_package_imports_from_inside_a_checkout(tmp_path: Path) -> None:
    assert _loaded_by("edge.runtime", "edge.calibration", "edge.compress.stages.record", cwd=ROOT) == []
