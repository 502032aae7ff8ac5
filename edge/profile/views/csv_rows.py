"""A profile's figures as CSV, a row for each distribution and layer; what is not known is an empty cell, never 0."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from edge.profile.views.wording import SHARES, distribution_of, percentiles_of
from edge.runtime.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge.profile.contents import Measured, Profile
    from edge.runtime.statistics import Distribution

_PERCENTILES = [f"{name}{part}_ms" for name in SHARES for part in ("", "_low", "_high")]
_COLUMNS = ("n", "mean_ms", *_PERCENTILES, "max_ms")
_LAYER_COLUMNS = ("name", "kind", "ms", "macs", "bytes", "precision")
_Cell = str | int | float | None


def write_csv(profile: Profile, folder: Path) -> None:
    """Writes `latency.csv` (and ages), `curve.csv` (the cumulative distribution), `stages.csv` and `layers.csv`.

    Milliseconds everywhere; `_low` and `_high` bound the 95 % interval. A file without rows has its header alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    latencies = [["latency", *_cells(profile.latency_ms)]]
    latencies += [[f"age:{name}", *_cells(age)] for name, age in profile.age_ms.items()]
    _write(folder / "latency.csv", ("what", *_COLUMNS), latencies)
    _write(folder / "curve.csv", ("share", "ms"), profile.latency_ms.curve)
    stages = ([name, *_cells(taken)] for name, taken in profile.stages_ms.items())
    _write(folder / "stages.csv", ("stage", *_COLUMNS), stages)
    layers = ([getattr(layer, column) for column in _LAYER_COLUMNS] for layer in profile.layers)
    _write(folder / "layers.csv", _LAYER_COLUMNS, layers)


def _cells(measured: Measured | Distribution) -> list[_Cell]:
    distribution = distribution_of(measured)
    cells: list[_Cell] = [distribution.n, getattr(measured, "mean", None)]
    for one in percentiles_of(measured):
        cells += [one.value, *(one.interval or (None, None))]
    return [*cells, distribution.max]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Iterable[_Cell]]) -> None:
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
