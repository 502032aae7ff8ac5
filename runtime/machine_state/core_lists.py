"""Lists of processor cores as the kernel writes them: `0-3,6`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PART = re.compile(r"^(\d{1,5})(?:-(\d{1,5}))?$")


def parse_cores(text: str) -> tuple[int, ...]:
    """Cores in rising order, of parts that commas or spaces divide; empty where some part is malformed."""
    cores: set[int] = set()
    for part in text.replace(",", " ").split():
        found = _PART.match(part)
        if found is None:
            return ()
        cores.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return tuple(sorted(cores))


def format_cores(cores: Iterable[int]) -> str:
    """The same with runs joined: `0-3,6`."""
    runs: list[list[int]] = []
    for core in sorted(set(cores)):
        if runs and core == runs[-1][1] + 1:
            runs[-1][1] = core
        else:
            runs.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
