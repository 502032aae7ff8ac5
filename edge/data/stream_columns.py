"""Writes beside a manifest what its columns are, so that it can be replayed as streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from edge.runtime.atomic import atomic_file
from edge.runtime.sources.manifest_layout import streams_file

if TYPE_CHECKING:
    from pathlib import Path

    from edge.runtime.sources.manifest_layout import ManifestLayout


def write_stream_columns(manifest: Path, layout: ManifestLayout) -> Path:
    """Writes `NAME.streams.yaml` for `NAME.csv`, as `edge run --source manifest:NAME.csv` reads it; gives its path."""
    path = streams_file(manifest)
    with atomic_file(path) as partial:
        content = layout.model_dump(mode="json", exclude_defaults=True)
        partial.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
