"""What every unit costs at every precision: milliseconds of a latency table, with what computes along with it."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING

from edge.compress.precision_plan import PrecisionPlan
from edge.compress.sensitivity.module_globs import plan_of_layers
from edge.compress.sensitivity.unit_choices import PRECISIONS
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.compress.latency_table import LatencyTable
    from edge.compress.precision_plan import PlannedPrecision
    from edge.compress.sensitivity.unit_choices import Unit


class UnitCosts:
    """Milliseconds by unit and precision, so that a plan's sum is `LatencyTable.total_ms` of it.

    What has no weight of its own (additions, pools, concatenations) follows the layer that shares most of its module
    path, of equals the one before it in the graph, and computes in what that does.

    Args:
        table: Of this model's graph.
        units: All of the model's.

    Raises:
        ConfigError: The table lacks a layer, or a layer at every precision that it may have.
    """

    def __init__(self, table: LatencyTable, units: Sequence[Unit]) -> None:
        self.table = table
        self._layers = {layer for unit in units for layer in unit.layers}
        self._rows = _rows_of_units(table, units)
        self.ms = {unit.name: self._of_unit(unit) for unit in units}

    def _of_unit(self, unit: Unit) -> dict[PlannedPrecision, float]:
        timed = {(row.layer, row.precision): row.ms for row in self.table.layers}
        rows = self._rows[unit.name]
        found = {p: fsum(timed[r, p] for r in rows) for p in unit.choices if all((r, p) in timed for r in rows)}
        if not found:
            raise ConfigError(
                f"the latency table of {self.table.source} has layer '{unit.name}', and what runs with it, at no "
                f"precision that it may have ({', '.join(unit.choices)})",
                "time them at one of these",
            )
        return found

    def total_ms(self, precisions: Mapping[str, PlannedPrecision]) -> float:
        """Of one inference with every unit at its precision."""
        return self.table.total_ms(self.plan(precisions))

    def plan(self, precisions: Mapping[str, PlannedPrecision]) -> PrecisionPlan:
        """Rules that give every row of the table the precision of the unit it belongs to; none for what is free."""
        owner = {row: precisions[name] for name, rows in self._rows.items() for row in rows}
        timed = {(row.layer, row.precision): row.ms for row in self.table.layers}
        free = {
            r for r in self.table.names if r not in self._layers and not any(timed.get((r, p), 1) for p in PRECISIONS)
        }
        return plan_of_layers({row: owner[row] for row in self.table.names if row not in free})


def _rows_of_units(table: LatencyTable, units: Sequence[Unit]) -> dict[str, list[str]]:
    owners = {layer: unit.name for unit in units for layer in unit.layers}
    missing = [layer for layer in owners if layer not in table.names]
    if missing:
        raise ConfigError(
            f"the latency table of {table.source} has no layer '{missing[0]}'"
            + (f" and {len(missing) - 1} others of the model's" if len(missing) > 1 else ""),
            "make one of this model's graph with: edge estimate MODEL.onnx --target DEVICE --table FILE",
        )
    rows: dict[str, list[str]] = {unit.name: [] for unit in units}
    before = next(name for name in table.names if name in owners)
    for name in table.names:
        if name in owners:
            before = name
        rows[owners[name if name in owners else _nearest(name, before, owners)]].append(name)
    return rows


def _nearest(row: str, before: str, layers: Mapping[str, str]) -> str:
    shared = {layer: _shared_parts(row, layer) for layer in layers}
    most = max(shared.values())
    return before if shared[before] == most else next(x for x in reversed(shared) if shared[x] == most)


def _shared_parts(first: str, second: str) -> int:
    count = 0
    for a, b in zip(first.split("."), second.split("."), strict=False):
        if a != b:
            break
        count += 1
    return count
