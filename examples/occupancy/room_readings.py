"""Reads the UCI occupancy data: a room's sensors once a minute, and whether somebody was there.

Candanedo and Feldheim, "Accurate occupancy detection of an office room from light, temperature, humidity and CO2
measurements using statistical learning models", 2016; CC BY 4.0.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.data.dataset_folder import Split

# Their column to ours. The file's first column is a row number that the header does not name.
COLUMNS = {
    "Temperature": "temperature_c",
    "Humidity": "humidity_percent",
    "HumidityRatio": "humidity_ratio",
    "Light": "light_lux",
    "CO2": "co2_ppm",
}
TRAINING, TESTS = "datatraining.txt", ("datatest.txt", "datatest2.txt")
VALIDATION_FROM = datetime(2015, 2, 9)  # the last working day and a half of the training file
FETCH = "pass the folder that holds datatraining.txt, datatest.txt and datatest2.txt of UCI's occupancy data"
STATES = ("empty", "occupied")


@dataclass(frozen=True)
class RoomReading:
    """One minute.

    Attributes:
        at: When.
        split: Of the data.
        values: By our names, as the file spells them.
        occupied: Whether somebody was there.
    """

    at: datetime
    split: Split
    values: dict[str, str]
    occupied: bool


def read_room(folder: Path) -> list[RoomReading]:
    """All readings, file by file: the files are the split, as those who published them made it.

    Raises:
        DataError: A file is missing, or a row is malformed; file and row are named.
    """
    readings = []
    for name in (TRAINING, *TESTS):
        readings += _read_file(folder / name)
    return readings


def _read_file(path: Path) -> list[RoomReading]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error})", FETCH) from error
    lacking = [name for name in ("date", *COLUMNS, "Occupancy") if name not in header]
    if lacking:
        raise DataError(f"{path} has no column '{lacking[0]}'", FETCH)
    return [_parse(path, number, header, row) for number, row in enumerate(rows, start=1)]


def _parse(path: Path, number: int, header: Sequence[str], row: Sequence[str]) -> RoomReading:
    try:
        cells = dict(zip(("number", *header), row, strict=True))
        at, occupied = datetime.fromisoformat(cells["date"]), ("0", "1").index(cells["Occupancy"]) == 1
        values = {ours: str(float(cells[theirs])) for theirs, ours in COLUMNS.items()}
    except ValueError as error:
        raise DataError(f"{path}: row {number} is malformed ({error})", FETCH) from error
    return RoomReading(at, _split(path, at), values, occupied)


def _split(path: Path, at: datetime) -> Split:
    if path.name != TRAINING:
        return "test"
    return "train" if at < VALIDATION_FROM else "validation"
