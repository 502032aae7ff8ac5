"""The near side of the peers in `.venv-peers-compress`: files out, a quantized graph back."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers.process import BUILD, Peer

ROOT = Path(__file__).resolve().parents[2]
VENV_PYTHON = ROOT / ".venv-peers-compress" / "bin" / "python"
REQUIREMENTS = ROOT / "requirements" / "bench_compress.txt"
WORKER = ROOT / "benchmarks" / "peers" / "onnx_quantizers.py"
LOG = BUILD / "onnx_quantizers.log"
INSTALL = "make bench-compress-peers"
PACKAGES = {"modelopt": "modelopt", "nncf": "nncf"}


class PeerMissingError(RuntimeError):
    """A peer is not installed; the message is the command that installs it."""


@dataclass(frozen=True)
class PeerGraph:
    """What a peer answered."""

    graph: bytes
    cpu_seconds: float
    versions: dict[str, str]


def quantize(command: str, fp32: Path, samples: Path, transformer: bool, settings: dict[str, Any]) -> PeerGraph:
    """Asks a peer; it runs in a process of its own, on one thread.

    Args:
        command: `modelopt` or `nncf`.
        fp32: Float ONNX, batch 1.
        samples: `.npz` of its inputs, `[samples, ...]`.
        transformer: Said to peers that ask.
        settings: Of the peer.

    Raises:
        PeerMissingError: It is not installed.
        RuntimeError: It failed; the message says how.
    """
    require(command)
    with tempfile.TemporaryDirectory() as folder, Peer([str(VENV_PYTHON), str(WORKER)], LOG) as peer:
        target = Path(folder) / "quantized.onnx"
        asked = {"fp32": str(fp32), "samples": str(samples), "target": str(target), "transformer": transformer}
        answer = peer.ask(command, json.dumps(asked | settings))
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}")
        return PeerGraph(target.read_bytes(), answer["cpu_seconds"], answer["versions"])


def require(command: str, python: Path = VENV_PYTHON) -> None:
    """Finds out whether a peer is there.

    Raises:
        PeerMissingError: It is not.
    """
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({PACKAGES[command]!r}) is None)"
    if not python.exists() or subprocess.run([str(python), "-c", probe], check=False, cwd="/").returncode:
        raise PeerMissingError(f"not installed: {INSTALL}")
