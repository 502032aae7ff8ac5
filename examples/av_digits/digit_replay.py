"""Writes digits as files with a manifest, so that a bundle can run on them as streams."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import yaml

from edge.runtime.capabilities import require_module
from edge.runtime.sample import AudioChunk, Image
from edge.runtime.sources.manifest_layout import streams_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from digit_samples import Digit

COLUMNS = ("id", "split", "recording", "image", "audio", "digit")
STREAMS = {
    "columns": {"id": "id", "split": "split"},
    "streams": {"image": {"column": "image"}, "audio": {"column": "audio"}},
}


def write_replay(folder: Path, digits: Iterable[Digit]) -> None:
    """Writes `manifest.csv`, what its columns are, and a picture and a sound each, neither compressed with loss.

    Raises:
        MissingDependencyError: OpenCV or soundfile is not installed.
    """
    folder.mkdir()
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(_row(folder, number, digit) for number, digit in enumerate(digits))
    streams_file(manifest).write_text(yaml.safe_dump(STREAMS), encoding="utf-8")


def _row(folder: Path, number: int, digit: Digit) -> dict[str, str]:
    image, sound = digit.payloads["image"], digit.payloads["audio"]
    assert isinstance(image, Image) and isinstance(sound, AudioChunk), "a digit is seen and heard"
    name = f"test-{number}"
    (folder / f"{name}.png").write_bytes(require_module("cv2").imencode(".png", image.pixels)[1].tobytes())
    require_module("soundfile").write(folder / f"{name}.wav", sound.samples.T, sound.rate_hz, subtype="FLOAT")
    return {
        "id": name,
        "split": "test",
        "recording": digit.recording,
        "image": f"{name}.png",
        "audio": f"{name}.wav",
        "digit": str(digit.digit),
    }
