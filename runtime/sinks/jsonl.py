"""Results as JSON, one a line (`results.jsonl`)."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.runtime.result import FusedResult


class JsonlSink:
    """Writes beside `path`, and puts the file there when the run is complete.

    Equal results give equal bytes.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self._path, self._partial = path, Path(name)
        self._file = os.fdopen(handle, "w", encoding="utf-8", newline="\n")

    def write(self, result: FusedResult) -> None:
        """Adds one line."""
        line = json.dumps(result.to_json(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        self._file.write(line + "\n")

    def close(self, *, complete: bool) -> None:
        """Publishes the file where the run was complete, removes it otherwise; a second call does nothing."""
        if self._file.closed:
            return
        self._file.close()
        if complete:
            self._partial.chmod(0o644)
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)
