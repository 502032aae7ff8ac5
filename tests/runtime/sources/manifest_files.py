"""A small manifest of pictures, sounds, laboratory values and a time series, with the model that reads it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.runtime.model_io import ModelIO
from edge.runtime.rig import Rig
from edge.runtime.sources.manifest_layout import ManifestLayout

RATE_HZ, SOUND_LENGTH, STEPS = 8000, 2000, 3
WINDOW = 1600
CLASSES = ("healthy", "worn", "broken")

IO = ModelIO.model_validate(
    {
        "schema": 1,
        "inputs": [
            {"feature": "image", "tensor": "picture", "stream": "camera", "shape": [1, 1, 8, 8]},
            {
                "feature": "logmel",
                "tensor": "sound",
                "stream": "audio",
                "shape": [1, 1, 16, 9],
                "rate_hz": RATE_HZ,
                "n_fft": 320,
                "hop": 160,
                "f_max_hz": 4000,
            },
            {
                "feature": "tensor",
                "tensor": "values",
                "stream": "labs",
                "shape": [1, 2],
                "fields": ["sodium", "urea"],
                "mean": [140, 5],
                "std": [10, 2],
            },
            {
                "feature": "series",
                "tensor": "history",
                "stream": "meter",
                "shape": [1, 1, STEPS],
                "fields": ["power"],
                "mean": [0],
                "std": [1],
            },
            {"feature": "present", "streams": ["camera", "audio", "labs", "meter"]},
        ],
        "outputs": [{"decoder": "softmax", "tensor": "state", "classes": list(CLASSES)}],
    }
)
RIG = Rig.model_validate(
    {
        "schema": 1,
        "name": "bench",
        "anchor": "camera",
        "streams": {
            "camera": {
                "kind": "camera",
                "rate_hz": 10,
                "transport_ms": 4,
                "intrinsics": {"width": 8, "height": 8, "fx": 8, "fy": 8, "cx": 3.5, "cy": 3.5},
            },
            "audio": {
                "kind": "audio",
                "rate_hz": 50,
                "clock": "sample-counter",
                "stamp": "first-sample",
                "sample_rate_hz": RATE_HZ,
            },
            "labs": {"kind": "table", "rate_hz": 1, "policy": "hold", "latency_offset_ms": -3},
            "meter": {"kind": "table", "rate_hz": 5},
        },
    }
)
LAYOUT = ManifestLayout.model_validate(
    {
        "columns": {"id": "name", "split": "split", "recording": "machine", "attributes": ["shift"]},
        "streams": {
            "camera": {"column": "picture"},
            "audio": {"column": "sound"},
            "labs": {"columns": ["sodium", "urea"]},
            "meter": {"columns": ["power"], "order": "minute"},
        },
        "targets": {"state": {"column": "state"}},
    }
)
COLUMNS = ("name", "split", "machine", "shift", "picture", "sound", "sodium", "urea", "power", "minute", "state")
SPLIT_OF = {"m0": "train", "m1": "validation", "m2": "test", "m3": "train"}


def machine_rows(folder: Path, per_machine: int = 5) -> list[dict[str, str]]:
    """Rows of four machines in turn, with a picture and a sound of their own; written to `folder`."""
    cv2, soundfile = pytest.importorskip("cv2"), pytest.importorskip("soundfile")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(4 * per_machine):
        random = np.random.default_rng(number)
        picture, sound = folder / f"{number}.png", folder / f"{number}.wav"
        cv2.imwrite(str(picture), random.integers(0, 256, (8, 8), np.uint8))
        soundfile.write(sound, random.uniform(-0.5, 0.5, SOUND_LENGTH), RATE_HZ)
        machine = f"m{number % 4}"
        cells = (
            *(f"s{number}", SPLIT_OF[machine], machine, "night" if number % 3 else "day", picture.name, sound.name),
            *(f"{130 + number}", f"{4 + 0.25 * number}", f"{number / 8}", f"{number // 4}"),
            CLASSES[number % 3],
        )
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS) -> Path:
    """The rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def changed(layout: ManifestLayout, **changes: Any) -> ManifestLayout:
    """Validated anew."""
    return ManifestLayout.model_validate({**layout.model_dump(mode="json"), **changes})
