"""Refuses binaries that need newer system libraries than the oldest system we serve: Ubuntu 22.04 (JetPack 6).

Usage: python symbol_versions.py BINARY...; exits with 1 and names each symbol that is too new, with 2 where a file
cannot be read. Build on Ubuntu 22.04 or Debian 12, or against a board's root file system, to stay below the limits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

# glibc 2.35; libstdc++6 and libgcc-s1 of GCC 12, which Ubuntu 22.04 ships beside its GCC 11.
NEWEST = {"GLIBC": (2, 35), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13), "GCC": (12, 0, 0)}
_NEED = re.compile(r"\sUND\s+(\S+?)@+([A-Z]+)_([0-9.]+)\b")


def needed_symbols(table: str) -> list[tuple[str, str, tuple[int, ...]]]:
    """Undefined symbols of `readelf --dyn-syms --wide`, each with its library's tag and version."""
    return [(name, tag, tuple(map(int, version.split(".")))) for name, tag, version in _NEED.findall(table)]


def too_new(table: str) -> list[str]:
    """Symbols beyond the limits, as `name@TAG_version`."""
    return [
        f"{name}@{tag}_{'.'.join(map(str, version))}"
        for name, tag, version in needed_symbols(table)
        if tag in NEWEST and version > NEWEST[tag]
    ]


def _read(binary: str) -> str:
    done = subprocess.run(["readelf", "--dyn-syms", "--wide", binary], capture_output=True, text=True, check=False)
    if done.returncode or not needed_symbols(done.stdout):
        sys.stderr.write(f"{binary}: no dynamic symbols to check; is it a linked program? {done.stderr}\n")
        sys.exit(2)
    return done.stdout


def main(binaries: list[str]) -> int:
    """Check every binary; the exit status."""
    if not binaries or shutil.which("readelf") is None:
        sys.stderr.write("name the binaries to check; this needs readelf, apt-get install binutils\n")
        return 2
    found = [f"{binary}: {symbol}" for binary in binaries for symbol in too_new(_read(binary))]
    for line in found:
        sys.stderr.write(f"{line} is newer than Ubuntu 22.04 offers\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
