"""Makes the occupancy manifest from UCI's files: three streams of a room's sensors, minute by minute.

python examples/occupancy/prepare.py ../shared/data/occupancy runs/occupancy/data
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from room_readings import COLUMNS, STATES, read_room

from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import EdgeError

if TYPE_CHECKING:
    from room_readings import RoomReading

BLOCK_HOURS = 2  # readings of a block are one recording: series end with it, and statistics count it as one
PARTS_OF_DAY = {"night": (0, 7), "morning": (7, 12), "afternoon": (12, 18), "evening": (18, 24)}
MANIFEST_COLUMNS = ("id", "split", "block", "part_of_day", "weekend", "time", *COLUMNS.values(), "state")


def main(
    data: Annotated[Path, typer.Argument(help="Folder with datatraining.txt, datatest.txt and datatest2.txt.")],
    out: Annotated[Path, typer.Argument(help="Folder for the manifest; replaced where it exists.")],
    every: Annotated[int, typer.Option(min=1, help="Keep every so-manieth block only, for a quick look.")] = 1,
) -> None:
    """Writes `manifest.csv`."""
    try:
        rows = [manifest_row(reading) for reading in read_room(data)]
        kept = set(list(dict.fromkeys(row["block"] for row in rows))[::every])
        with atomic_folder(out) as folder, (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, MANIFEST_COLUMNS)
            writer.writeheader()
            writer.writerows(row for row in rows if row["block"] in kept)
    except EdgeError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)


def manifest_row(reading: RoomReading) -> dict[str, str]:
    """One minute under `MANIFEST_COLUMNS`."""
    at = reading.at
    return {
        "id": at.isoformat(),
        "split": reading.split,
        "block": f"{at.date()}-{at.hour // BLOCK_HOURS * BLOCK_HOURS:02d}h-{reading.split}",
        "part_of_day": next(part for part, (first, end) in PARTS_OF_DAY.items() if first <= at.hour < end),
        "weekend": "yes" if at.weekday() >= 5 else "no",
        "time": at.isoformat(),
        **reading.values,
        "state": STATES[reading.occupied],
    }


if __name__ == "__main__":
    typer.run(main)
