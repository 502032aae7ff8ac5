"""How long each layer of a graph takes at each precision, and who says so: a machine that measured, or an estimate."""

from __future__ import annotations

import hashlib
from functools import cached_property
from math import fsum
from typing import TYPE_CHECKING, Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edge.compress.precision_plan import PlannedPrecision
from edge.runtime.atomic import atomic_file
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from edge.compress.precision_plan import PrecisionPlan

SCHEMA: Final = 1
Bound = Literal["compute", "memory", "launch"]
Milliseconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Source = Annotated[str, StringConstraints(pattern=r"^(measured|estimate):[a-z0-9][a-z0-9._-]*$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class LayerLatency(BaseModel):
    """One layer at one precision.

    Attributes:
        layer: Path of its module, as `PrecisionPlan` matches it.
        operator: ONNX operator, such as `Conv`.
        precision: What it computes in.
        ms: Milliseconds of one inference; 0 for a layer whose work another one's kernel does.
        bound: What limits it, where that is known; None for a layer that costs nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str = Field(min_length=1)
    operator: str
    precision: PlannedPrecision
    ms: Milliseconds
    bound: Bound | None = None


class LatencyTable(BaseModel):
    """Milliseconds by layer and precision, of one graph and from one source.

    Attributes:
        schema_version: 1; written as `schema`.
        source: `measured:<machine>` or `estimate:<device>`.
        graph_sha256: Of the graph, by `graph_digest`.
        layers: In the order of the graph, each at one precision or more.
        fixed_ms: What an inference costs beside its layers.

    Raises:
        ValueError: A layer has two rows of one precision.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")
    source: Source
    graph_sha256: Digest
    layers: tuple[LayerLatency, ...]
    fixed_ms: Milliseconds = 0.0

    @model_validator(mode="after")
    def _rows_differ(self) -> LatencyTable:
        seen: set[tuple[str, str]] = set()
        for row in self.layers:
            if (row.layer, row.precision) in seen:
                raise ValueError(f"layer '{row.layer}' has two rows at {row.precision}")
            seen.add((row.layer, row.precision))
        return self

    @cached_property
    def _by_layer(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for row in self.layers:
            found.setdefault(row.layer, {})[row.precision] = row.ms
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Every layer once, in the order of the graph."""
        return tuple(self._by_layer)

    def ms(self, layer: str, precision: PlannedPrecision) -> float:
        """Milliseconds of one layer at one precision.

        Raises:
            ConfigError: The table has no such layer, or not at that precision.
        """
        rows = self._by_layer.get(layer)
        if rows is None:
            raise ConfigError(f"the latency table of {self.source} has no layer '{layer}'", "make one of this graph")
        if precision not in rows:
            known = ", ".join(rows)
            raise ConfigError(
                f"the latency table of {self.source} has layer '{layer}' at {known}, not at {precision}",
                "measure that precision too, or let the plan keep the layer at one that is there",
            )
        return rows[precision]

    def total_ms(self, plan: PrecisionPlan) -> float:
        """Milliseconds of one inference with each layer at the precision that the plan gives it.

        Raises:
            ConfigError: A layer was not timed at its planned precision.
        """
        return self.fixed_ms + fsum(self.ms(layer, plan.of(layer)) for layer in self._by_layer)

    def check_comparable(self, other: LatencyTable) -> None:
        """Refuses to set two tables side by side that do not speak of the same thing.

        Raises:
            ConfigError: Their sources or their graphs differ; an estimate is never mixed with a measurement.
        """
        if self.source != other.source:
            raise ConfigError(
                f"one latency table is '{self.source}' and the other '{other.source}': an estimate is never mixed "
                "with a measurement, nor one machine with another",
                "take both from the same source",
            )
        if self.graph_sha256 != other.graph_sha256:
            raise ConfigError(
                f"the latency tables of {self.source} are of two graphs, {self.graph_sha256[:12]} and "
                f"{other.graph_sha256[:12]}",
                "take both of the same graph",
            )

    def merged(self, other: LatencyTable) -> LatencyTable:
        """Both tables' rows, for layers or precisions that were timed in two runs; the larger fixed cost counts.

        Raises:
            ConfigError: Their sources or graphs differ, or they disagree about a layer.
        """
        self.check_comparable(other)
        rows = {(row.layer, row.precision): row for row in self.layers}
        for row in other.layers:
            known = rows.setdefault((row.layer, row.precision), row)
            if known != row:
                raise ConfigError(
                    f"the tables of {self.source} disagree about layer '{row.layer}' at {row.precision}: "
                    f"{known.ms:g} ms and {row.ms:g} ms",
                    "keep one of them",
                )
        fixed = max(self.fixed_ms, other.fixed_ms)
        return self.model_copy(update={"layers": tuple(rows.values()), "fixed_ms": fixed})

    def save(self, path: Path) -> None:
        """Writes the table as YAML, whole or not at all."""
        content = self.model_dump(mode="json", by_alias=True)
        with atomic_file(path) as partial:
            partial.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def load_latency_table(path: Path) -> LatencyTable:
    """Reads a table that `save` wrote.

    Raises:
        ConfigError: The file is missing or no YAML, of another schema, or a key is unknown or wrong.
    """
    content = read_yaml(path)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ConfigError(
            f"{path} has schema {schema!r}, this edge reads latency tables of schema {SCHEMA}",
            "write it again with: edge estimate --table",
        )
    return validated(LatencyTable, content, path)


def graph_digest(model: onnx.ModelProto) -> str:
    """What a table knows its graph by: SHA-256 of the model, serialized deterministically."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
