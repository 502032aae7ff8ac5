"""Layers' latencies by width, from one clock: timed once, kept in a file, so that a search needs few whole graphs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from edge.compress.latency_table import Milliseconds, Source
from edge.compress.precision_plan import PlannedPrecision
from edge.runtime.atomic import atomic_file
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Final = 1


class WidthTable(BaseModel):
    """Milliseconds of single layers.

    Attributes:
        schema_version: 1; written as `schema`.
        source: `measured:<machine>` or `estimate:<device>`; a table is of one of them.
        precision: What the layers compute in.
        ms: By `LayerShape.key`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")
    source: Source
    precision: PlannedPrecision
    ms: dict[str, Milliseconds] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the table."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def with_rows(self, rows: dict[str, float]) -> WidthTable:
        """The table and what else was timed by the same clock."""
        return self.model_copy(update={"ms": dict(sorted({**self.ms, **rows}.items()))})

    def save(self, path: Path) -> None:
        """Writes the table as YAML, whole or not at all."""
        content = self.model_dump(mode="json", by_alias=True)
        with atomic_file(path) as partial:
            partial.write_text(yaml.safe_dump(content, sort_keys=False, width=200), encoding="utf-8")


def load_width_table(path: Path, source: str, precision: PlannedPrecision) -> WidthTable:
    """The table in a file, or an empty one where there is none yet.

    Args:
        path: Of the YAML file.
        source: Whose latencies are wanted.
        precision: At which precision.

    Raises:
        ConfigError: The file is no such table, or of another source or precision.
    """
    if not path.exists():
        return WidthTable(source=source, precision=precision)
    table = validated(WidthTable, read_yaml(path), path)
    if (table.source, table.precision) != (source, precision):
        raise ConfigError(
            f"{path} holds latencies of {table.source} at {table.precision}, and {source} at {precision} is asked for: "
            "an estimate is never mixed with a measurement, nor one machine with another",
            "name another file in width_table",
        )
    return table
