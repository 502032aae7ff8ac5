"""Makes the medicine dataset: pictures, reports and blood values of invented patients, as files and a manifest.

Everything is generated: no patient, no hospital, no medical device.

python examples/medicine/prepare.py runs/medicine/data
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from patient_cases import draw_patient
from patient_laboratory import FIELDS, draw_values
from patient_pictures import draw_picture
from patient_reports import write_report
from rich.console import Console
from rich.progress import track

from edge.runtime.atomic import atomic_folder
from edge.runtime.capabilities import require_module
from edge.runtime.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from patient_cases import Patient

SPLIT_OF = ("train", "train", "train", "test", "train", "train", "validation", "train", "test", "train")
COLUMNS = ("id", "split", "sex", "age_band", "site", "picture", "report", *FIELDS, "diagnosis")
VOCABULARY = 256  # rows of the model's embedding table; the words here are fewer
SPECIAL = ("[PAD]", "[UNK]", "[MASK]")  # padding must have the id 0; pretraining hides words behind the mask
FEWEST = 100


def main(
    out: Annotated[Path, typer.Argument(help="Folder for pictures, tokenizer and manifest; replaced where it exists.")],
    patients: Annotated[int, typer.Option(min=1, help="Patients to invent; 7 of 10 are for training.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
) -> None:
    """Writes PNG pictures, `manifest.csv` and the `tokenizer.json` that the training reports teach."""
    try:
        if patients < FEWEST:
            raise ConfigError(f"{patients} patients do not fill three splits", f"make it at least {FEWEST}")
        with atomic_folder(out) as folder:
            rows = list(_rows(folder, patients, seed))
            write_manifest(folder / "manifest.csv", rows)
            train_tokenizer(folder / "tokenizer.json", (row["report"] for row in rows if row["split"] == "train"))
    except EdgeError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)


def _rows(folder: Path, patients: int, seed: int) -> Iterable[dict[str, str]]:
    (folder / "png").mkdir()
    for number in track(range(patients), "Invent patients", console=Console(stderr=True)):
        generator = np.random.default_rng([seed, number])
        patient = draw_patient(number, generator)
        made = draw_examinations(patient, generator)
        if "picture" in patient.examined:
            write_png(folder / "png" / f"{patient.name}.png", draw_picture(patient, generator))
        yield {
            "id": patient.name,
            # Diagnoses take turns, so that the split must not follow the same rhythm.
            "split": SPLIT_OF[number // 4 % len(SPLIT_OF)],
            "sex": patient.sex,
            "age_band": patient.age_band,
            "site": patient.site,
            "picture": f"png/{patient.name}.png" if "picture" in patient.examined else "",
            **made,
            "diagnosis": patient.diagnosis,
        }


def draw_examinations(patient: Patient, generator: np.random.Generator) -> dict[str, str]:
    """Cells of the report and of the blood values; empty where there is none."""
    report, values = write_report(patient, generator), draw_values(patient, generator)
    return {
        "report": report if "report" in patient.examined else "",
        **{name: f"{value:.4g}" if "labs" in patient.examined else "" for name, value in values.items()},
    }


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """A grey picture uint8 `[h, w]`."""
    path.write_bytes(require_module("cv2").imencode(".png", pixels)[1].tobytes())


def write_manifest(path: Path, rows: list[dict[str, str]]) -> None:
    """One row a patient, under `COLUMNS`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def train_tokenizer(path: Path, reports: Iterable[str]) -> None:
    """A word for each token, as often as they come in the training reports; what they lack is `[UNK]`."""
    tokenizers = require_module("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = tokenizers.trainers.WordLevelTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(reports, trainer)
    path.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
