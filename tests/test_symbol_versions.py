"""What binaries ask of the system's libraries: no more than Ubuntu 22.04 (JetPack 6) has."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.runtime import _core

CHECKER = Path(__file__).resolve().parents[1] / "cmake" / "symbol_versions.py"
OLD_ENOUGH = (2, 36)  # builds against it need symbols of 2.35 at most, as long as they avoid its few own
TABLE = """
Symbol table '.dynsym' contains 4 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND {symbol} (2)
     2: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND hypot@GLIBC_2.35 (3)
     3: 0000000000001040    12 FUNC    GLOBAL DEFAULT   12 ours@@EDGE_9.9
"""


def _check(*binaries: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = None if path is None else {"PATH": path}
    command = [sys.executable, str(CHECKER), *binaries]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _readelf_that_prints(folder: Path, text: str) -> str:
    (folder / "table").write_text(text)
    tool = folder / "readelf"
    tool.write_text(f"#!/bin/sh\nwhile read -r line; do echo \"$line\"; done < '{folder}/table'\n")
    tool.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    "symbol",
    ["arc4random@GLIBC_2.36", "__isoc23_strtol@GLIBC_2.38", "_ZSt1f@GLIBCXX_3.4.31", "g@CXXABI_1.3.14", "h@GCC_13.0.0"],
)
def test_a_symbol_of_a_newer_system_is_named(symbol: str, tmp_path: Path) -> None:
    done = _check("program", path=_readelf_that_prints(tmp_path, TABLE.format(symbol=symbol)))
    assert done.returncode == 1
    assert done.stderr == f"program: {symbol} is newer than Ubuntu 22.04 offers\n"


@pytest.mark.parametrize("symbol", ["memcpy@GLIBC_2.17", "f@GLIBCXX_3.4.30", "g@CXXABI_1.3.13", "h@GCC_3.0"])
def test_symbols_up_to_the_limit_pass(symbol: str, tmp_path: Path) -> None:
    done = _check("program", path=_readelf_that_prints(tmp_path, TABLE.format(symbol=symbol)))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_cannot_be_read_is_no_pass(tmp_path: Path) -> None:
    assert _check().returncode == 2
    assert "apt-get install binutils" in _check("program", path=str(tmp_path)).stderr
    if shutil.which("readelf"):
        assert _check(str(tmp_path / "absent")).returncode == 2
        assert "no dynamic symbols" in _check(str(CHECKER)).stderr


def test_the_extension_runs_on_ubuntu_22() -> None:
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split("."))) > OLD_ENOUGH:
        pytest.skip(f"what is built on {name or 'this C library'} {version} is for systems of its age")
    done = _check(str(_core.__file__))
    assert done.returncode == 0, done.stderr
