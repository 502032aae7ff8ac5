"""What a sweep found: sensitivities by layer, by branch and by modality state; JSON that shards of it merge into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.compress.precision_plan import PlannedPrecision
from edge.compress.sensitivity.unit_choices import Unit
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError, DataError, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Target = Literal["layer", "branch"]
SENSITIVITY_NOTE = "sensitivity"  # in the notes of a quantization that searched a plan


class SensitivityRow(BaseModel):
    """One layer or branch at one precision, all else in FP32.

    Attributes:
        kind: What `target` names.
        target: A unit, or a branch.
        precision: INT8 or FP16.
        distance: Nats between the outputs and the float model's, by state (`edge.compress.sensitivity.distance`).
        sqnr_db: Signal to noise of the worst output, by state.
        lost: Points of score lost on all samples that the sweep looks at, by state; empty where that was not measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Target
    target: str
    precision: PlannedPrecision
    distance: dict[str, float]
    sqnr_db: dict[str, float]
    lost: dict[str, float] = {}

    @property
    def worst_state(self) -> str:
        """Where the outputs are furthest off."""
        return max(self.distance, key=lambda state: self.distance[state])

    @property
    def worst_distance(self) -> float:
        """Nats in that state."""
        return self.distance[self.worst_state]


class Sensitivity(BaseModel):
    """All rows of a sweep, or of one shard.

    Attributes:
        schema_version: 1; written as `schema`.
        states: That were swept.
        base: Score of the float model on the samples that the sweep looks at, by state.
        units: What was swept, in the graph's order.
        rows: Layers in the graph's order, then branches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    states: tuple[str, ...]
    base: dict[str, float]
    units: tuple[Unit, ...]
    rows: tuple[SensitivityRow, ...]

    @property
    def branches(self) -> tuple[str, ...]:
        """In the graph's order."""
        return tuple(dict.fromkeys(unit.branch for unit in self.units))

    def ranking(self, precision: PlannedPrecision = "int8", kind: Target = "layer") -> tuple[SensitivityRow, ...]:
        """Rows of one precision, the most sensitive first; of equals the first in the graph."""
        rows = (row for row in self.rows if row.precision == precision and row.kind == kind)
        return tuple(sorted(rows, key=lambda row: -row.worst_distance))

    def row(self, target: str, precision: PlannedPrecision, kind: Target = "layer") -> SensitivityRow:
        """One row.

        Raises:
            DataError: It was not swept.
        """
        for row in self.rows:
            if (row.kind, row.target, row.precision) == (kind, target, precision):
                return row
        raise DataError(f"{kind} '{target}' was not swept at {precision}", "merge all shards of the sweep first")

    def scored(self, lost: dict[tuple[Target, str, PlannedPrecision], dict[str, float]]) -> Sensitivity:
        """The same with points lost, by kind, target and precision."""
        rows = (row.model_copy(update={"lost": lost.get(_key(row), row.lost)}) for row in self.rows)
        return self.model_copy(update={"rows": tuple(rows)})

    def save(self, path: Path) -> None:
        """Writes JSON, whole or not at all."""
        with atomic_file(path) as partial:
            partial.write_text(self.model_dump_json(by_alias=True, indent=1), encoding="utf-8")


def load_sensitivity(path: Path) -> Sensitivity:
    """Reads what `Sensitivity.save` wrote.

    Raises:
        ConfigError: The file is missing, of another schema, or a key is unknown or wrong.
    """
    try:
        return Sensitivity.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(f"cannot read {path} ({first_line(error)})", "sweep again") from error


def merge_shards(parts: Sequence[Sensitivity]) -> Sensitivity:
    """One sweep out of its shards, in any order: equal to the sweep of one process.

    Raises:
        DataError: The shards are of different models or data, or share a row.
    """
    if not parts:
        raise DataError("there is no shard to merge", "pass every shard of the sweep")
    first = parts[0]
    if any((p.states, p.base, p.units) != (first.states, first.base, first.units) for p in parts):
        raise DataError("the shards are of different models, states or data", "sweep them all with the same settings")
    rows = [row for part in parts for row in part.rows]
    if len({_key(row) for row in rows}) != len(rows):
        raise DataError("two shards have the same row", "pass every shard once")
    order = {unit.name: place for place, unit in enumerate(first.units)}
    branch = {name: place for place, name in enumerate(first.branches)}

    def place(row: SensitivityRow) -> tuple[bool, int, str]:
        return row.kind == "branch", (branch if row.kind == "branch" else order)[row.target], row.precision

    return first.model_copy(update={"rows": tuple(sorted(rows, key=place))})


def _key(row: SensitivityRow) -> tuple[Target, str, PlannedPrecision]:
    return row.kind, row.target, row.precision
