"""Text between the markers of a page, and the results that it is made from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read_result(path: Path, command: str) -> dict[str, Any]:
    """What a benchmark wrote.

    Args:
        path: The file.
        command: What writes it, for who lacks it.

    Raises:
        ConfigError: The file is missing or no JSON.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read", f"run {command} first") from error
    return found


def fill(page: Path, marker: str, text: str) -> None:
    """Puts `text` between the markers of that name.

    Raises:
        ConfigError: The file has not exactly one pair of them.
    """
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    content = page.read_text(encoding="utf-8")
    if content.count(start) != 1 or content.count(end) != 1 or content.index(start) > content.index(end):
        raise ConfigError(f"{page} has no pair of {start} and {end}", "put both markers back, each once")
    before, after = content.split(start)[0], content.split(end)[1]
    with atomic_file(page) as partial:
        partial.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")
