"""Draws what the generated examples look like: docs/images/bearing.png and docs/images/medicine.png.

Run: python docs/make_example_pictures.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot

from edge.project import load_project
from edge.runtime.model_io import LogMelInput
from edge.runtime.preprocess.logmel import LogMel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "bearing"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "medicine"))
from bearing_geometry import DEEP_GROOVE_6205, FAULTS
from bearing_machines import Run, draw_machine
from bearing_vibration import RATE_HZ, record_vibration
from patient_cases import DIAGNOSES, draw_patient
from patient_pictures import draw_picture

ROOT = Path(__file__).resolve().parents[1]
IMAGES = Path(__file__).parent / "images"
SPEED_HZ, LOAD_KN, SEVERITY = 15.0, 1.0, 2.0
PATIENTS_EACH = 6


def main() -> None:
    """Writes both."""
    draw_bearings(IMAGES / "bearing.png")
    draw_patients(IMAGES / "medicine.png")


def draw_bearings(path: Path) -> None:
    """What the near channel hears of each fault, and what the model sees of it."""
    item = load_project(ROOT / "examples" / "bearing" / "project.yaml").io.inputs[0]
    assert isinstance(item, LogMelInput), "the first input is a vibration"
    logmel, machine = LogMel(item), draw_machine(3, 0)
    figure, axes = pyplot.subplots(len(FAULTS), 2, figsize=(10, 6), sharex=True, layout="constrained")
    for row, fault in zip(axes, FAULTS, strict=True):
        run = Run(machine, "", fault, "drive", SEVERITY)
        heard = record_vibration(run, SPEED_HZ, LOAD_KN, logmel.window_samples, np.random.default_rng(1))["drive"]
        _draw_bearing(row, heard, logmel.features(heard))
        rate = DEEP_GROOVE_6205.strike_rate(fault) * SPEED_HZ
        row[0].set_ylabel(f"{fault}\n{rate:.0f} strikes/s" if rate else fault)
    axes[0][0].set_title(f"acceleration, shaft at {60 * SPEED_HZ:.0f} turns a minute")
    axes[0][1].set_title("log-mel, as the model sees it")
    for axis in axes[-1]:
        axis.set_xlabel("s")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _draw_bearing(row: Any, heard: Any, features: Any) -> None:
    seconds = len(heard) / RATE_HZ
    row[0].plot(np.arange(len(heard)) / RATE_HZ, heard, linewidth=0.4)
    row[0].set_ylim(-0.6, 0.6)
    row[1].imshow(features, aspect="auto", origin="lower", extent=(0, seconds, 0, len(features)))
    row[1].set_yticks([])


def draw_patients(path: Path) -> None:
    """A few pictures of each diagnosis."""
    figure, axes = pyplot.subplots(len(DIAGNOSES), PATIENTS_EACH, figsize=(8, 5.6), layout="constrained")
    for kind, row in enumerate(axes):
        for place, axis in enumerate(row):
            number = kind + len(DIAGNOSES) * place
            generator = np.random.default_rng([7, number])
            axis.imshow(draw_picture(draw_patient(number, generator), generator), cmap="gray", vmin=0, vmax=255)
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(DIAGNOSES[kind].replace("_", " "))
    figure.suptitle("Generated: no patient, no medical device")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
