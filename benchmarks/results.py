"""A result file: what was measured, and on which machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge.runtime.atomic import atomic_file
from edge.runtime.environment import describe_host

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = 6


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Writes `result` with the machine's description, rounded to what anybody can use."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"environment": describe_host().to_json(), **_rounded(result)}, indent=1)
    with atomic_file(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, (list, tuple)) else value
