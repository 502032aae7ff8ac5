"""A peer in a process of its own, asked by line; and whether it is there at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

HERE = Path(__file__).resolve().parent
VENV_PYTHON = HERE.parents[1] / ".venv-peers" / "bin" / "python"
PROFILE_PYTHON = HERE.parents[1] / ".venv-peers-profile" / "bin" / "python"
SYSTEM_PYTHON = Path("/usr/bin/python3")
BUILD = HERE.parents[1] / "build" / "peers"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
BY_PIP = "make bench-peers"
PROFILE_BY_PIP = "make bench-profile-peers"
BY_APT = "apt-get install --no-install-recommends python3-message-filters libmessage-filters-dev libstd-msgs-dev g++"


@dataclass(frozen=True)
class Missing:
    """A peer that cannot run here."""

    command: str

    def __str__(self) -> str:
        return f"not installed: {self.command}"


class Peer:
    """A running worker; use it in a `with` statement.

    Args:
        command: What to start.
        log: Takes what it prints to stderr: ROS warns of every stamp that runs back.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **ONE_THREAD},
            )

    def ask(self, *fields: object) -> Any:
        """Sends a command and waits for its answer.

        Raises:
            RuntimeError: The worker has ended.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\t".join(map(str, fields)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a peer ended at {fields} with exit code {self._process.wait()}: see {self._log}")
        return json.loads(answer)

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def embodied_sync() -> Peer | Missing:
    """embodied-sync from the peers' venv."""
    return _in_venv("embodied_sync", "embodied.py")


def sound_features() -> Peer | Missing:
    """Librosa and kaldi-native-fbank from the peers' venv."""
    return _in_venv("librosa", "sound.py")


def kiss_icp() -> Peer | Missing:
    """kiss-icp's motion compensation from the peers' venv."""
    return _in_venv("kiss_icp", "kiss.py")


def loadgen() -> Peer | Missing:
    """MLPerf LoadGen from a venv of its own."""
    return _start_python(PROFILE_PYTHON, "mlperf_loadgen", "loadgen.py", PROFILE_BY_PIP)


def ros_python() -> Peer | Missing:
    """ROS's message_filters in the system's Python, where Debian's packages live."""
    return _start_python(SYSTEM_PYTHON, "message_filters", "ros_python.py", BY_APT)


def ros_cpp() -> Peer | Missing:
    """ROS's message_filters in C++: compiled at the first use and when its source is newer."""
    source, program = HERE / "ros_cpp.cpp", BUILD / "ros_cpp"
    if not (Path("/usr/include/message_filters/synchronizer.h").exists() and shutil.which("g++")):
        return Missing(BY_APT)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        libraries = ("message_filters", "roscpp", "rostime", "rosconsole", "boost_thread", "boost_system", "pthread")
        # Optimized as our own core is; the headers' own warnings are none of ours.
        flags = ["-O3", "-DNDEBUG", "-std=c++17", "-w", *(f"-l{name}" for name in libraries)]
        subprocess.run(["g++", str(source), "-o", str(program), *flags], check=True)
    return Peer([str(program)], BUILD / "ros_cpp.log")


def _in_venv(module: str, script: str) -> Peer | Missing:
    return _start_python(VENV_PYTHON, module, script, BY_PIP)


def _start_python(python: Path, module: str, script: str, command: str) -> Peer | Missing:
    probe = [str(python), "-c", f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"]
    if not python.exists() or subprocess.run(probe, check=False, cwd="/").returncode:
        return Missing(command)
    return Peer([str(python), str(HERE / script)], BUILD / f"{script}.log")
