"""Makes the bearing dataset: two vibration channels and slow sensors of simulated motors, as files and a manifest.

python examples/bearing/prepare.py runs/bearing/data
"""

from __future__ import annotations

import csv
import sys
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from bearing_geometry import FAULTS
from bearing_machines import ENDS, LOAD_KN, SENSORS, SPEED_HZ, Run, draw_machine, read_sensors
from bearing_vibration import RATE_HZ, record_vibration
from rich.console import Console
from rich.progress import track

from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

COUNT = 4800  # samples of a recording: a little more than the window of the model
RUNS_PER_MACHINE = 8
WINDOWS_PER_RUN = 10
SEVERITY = (0.5, 2.0)
# Of every ten machines: a machine is in one split only, so that a test is about machines never heard.
SPLIT_OF = ("train", "train", "test", "train", "train", "validation", "train", "test", "train", "train")
COLUMNS = ("id", "split", "run", "machine", "load", "speed", *ENDS, *SENSORS, "fault")


def main(
    out: Annotated[Path, typer.Argument(help="Folder for recordings and manifests; replaced where it exists.")],
    machines: Annotated[int, typer.Option(min=1, help="Motors; 80 recordings each.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
) -> None:
    """Writes wav files, `manifest.csv` of all splits, and `test.csv` to replay as streams."""
    try:
        if machines < len(SPLIT_OF):
            raise ConfigError(f"{machines} machines do not fill three splits", f"make it at least {len(SPLIT_OF)}")
        with atomic_folder(out) as folder:
            _write(folder, machines, seed)
    except EdgeError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)


def _write(folder: Path, machines: int, seed: int) -> None:
    (folder / "wav").mkdir()
    rows = []
    for number in track(range(machines), "Record motors", console=Console(stderr=True)):
        for run in draw_runs(number, seed):
            rows += [_record(folder, row, run, number, seed) for row in range(WINDOWS_PER_RUN)]
    write_manifest(folder / "manifest.csv", rows)
    write_manifest(folder / "test.csv", [row for row in rows if row["split"] == "test"])


def draw_runs(number: int, seed: int) -> Iterator[Run]:
    """The runs of a machine: every state of its bearings twice, anywhere and of any size."""
    machine = draw_machine(number, seed)
    generator = np.random.default_rng([seed, 2, number])
    for index in range(RUNS_PER_MACHINE):
        end = ENDS[int(generator.integers(2))]
        severity = float(np.exp(generator.uniform(*np.log(SEVERITY))))
        yield Run(machine, f"{machine.name}-r{index}", FAULTS[index % len(FAULTS)], end, severity)


def _record(folder: Path, row: int, run: Run, number: int, seed: int) -> dict[str, str]:
    name = f"{run.name}-w{row}"
    generator = np.random.default_rng([seed, 3, number, int(run.name.rpartition("r")[2]), row])
    speed_hz, load_kn = generator.uniform(*SPEED_HZ), generator.uniform(*LOAD_KN)
    readings, bands = read_sensors(run, speed_hz, load_kn, generator)
    files = {}
    for end, samples in record_vibration(run, speed_hz, load_kn, COUNT, generator).items():
        files[end] = f"wav/{name}-{end}.wav"
        write_wav(folder / files[end], samples)
    return {
        "id": name,
        "split": SPLIT_OF[number % len(SPLIT_OF)],
        "run": run.name,
        "machine": run.machine.name,
        **bands,
        **files,
        **{sensor: f"{value:.4g}" for sensor, value in zip(SENSORS, readings, strict=True)},
        "fault": run.fault,
    }


def write_wav(path: Path, samples: NDArray[np.float32]) -> None:
    """One channel of 16 bit at `RATE_HZ`; -1..1 is the whole range."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())


def write_manifest(path: Path, rows: list[dict[str, str]]) -> None:
    """One row a sample, under `COLUMNS`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    typer.run(main)
