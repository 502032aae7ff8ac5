"""Makes the AV digits dataset: spoken digits in street noise, paired with noisy images of the same digits.

python examples/av_digits/prepare.py ../shared/data runs/av_digits/data
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from digit_replay import write_replay
from digit_samples import (
    COLOUR_DB,
    IMAGE_SIGMA,
    PIXEL_HIGH,
    PIXEL_LOW,
    SHIFT_PIXELS,
    SNR_DB,
    draw_digit,
)
from digit_splits import BACKGROUND, IMAGES, INDICES, read_material
from digit_voices import VoiceVariation
from rich.console import Console
from rich.progress import track

from edge.data.dataset_folder import SPLITS, DatasetManifest, Split, SplitSpec, TensorSpec, create_arrays
from edge.project import load_project
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import EdgeError
from edge.runtime.model_io import PresentInput
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.rig import load_rig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digit_samples import Digit
    from digit_splits import Material

    from edge.runtime.model_io import ModelIO

HERE = Path(__file__).resolve().parent
TARGET = TensorSpec(name="target_digit", dtype="int64", shape=())


def main(
    data: Annotated[Path, typer.Argument(help="Folder with fsdd/, mnist/ and scaper_street/.")],
    out: Annotated[Path, typer.Argument(help="Folder for the dataset; replaced where it exists.")],
    train: Annotated[int, typer.Option(min=1, help="Training samples.")] = 24000,
    validation: Annotated[int, typer.Option(min=1, help="Validation samples.")] = 1600,
    test: Annotated[int, typer.Option(min=1, help="Test samples.")] = 4000,
    held_out_speaker: Annotated[
        str | None,
        typer.Option(help="Test on this speaker alone, whom training never hears; the other voices are varied."),
    ] = None,
    replayed: Annotated[int, typer.Option(min=0, help="Test samples that are also written as PNG and WAV.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
) -> None:
    """Writes training, validation and test samples, ready for `edge train examples/av_digits/project.yaml`.

    The first test samples are also written as files, for `edge run BUNDLE --source manifest:OUT/replay/manifest.csv`.
    """
    try:
        model_io = load_project(HERE / "project.yaml").io
        material = read_material(data, held_out_speaker)
        counts: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        voices = None if held_out_speaker is None else VoiceVariation()
        varied = None if voices is None else asdict(voices)
        settings = {"held_out_speaker": held_out_speaker, "varied_voices": varied, "seed": seed}
        manifest = _manifest(model_io, material, counts, settings)
        with atomic_folder(out) as folder:
            _draw(folder, manifest, model_io, material, seed, voices)
            write_replay(folder / "replay", _test_digits(material, model_io, min(replayed, test), seed))
    except EdgeError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)


def _draw(
    folder: Path,
    manifest: DatasetManifest,
    model_io: ModelIO,
    material: dict[Split, Material],
    seed: int,
    voices: VoiceVariation | None,
) -> None:
    preprocessor = Preprocessor(model_io, load_rig(HERE / "rig.yaml"))
    window = preprocessor.window_samples("audio")
    shutil.copyfile(HERE / "rig.yaml", folder / "rig.yaml")
    created = create_arrays(folder, manifest)
    for split in SPLITS:
        arrays, vary = created[split], split == "train"
        rows = range(len(manifest.splits[split].ids))
        for row in track(rows, f"Draw the {split} split", console=Console(stderr=True)):
            generator = _generator(seed, split, row)
            digit = draw_digit(material[split], row, window, generator, vary=vary, voices=voices if vary else None)
            tensors = preprocessor.inputs(digit.payloads)
            for spec in manifest.inputs:
                arrays[spec.name][row] = tensors[spec.name][0]
            arrays[TARGET.name][row] = digit.digit
        for array in arrays.values():
            array.flush()


def _test_digits(material: dict[Split, Material], model_io: ModelIO, count: int, seed: int) -> Iterator[Digit]:
    """The first samples of the test split once more, as they were before preprocessing."""
    window = Preprocessor(model_io, load_rig(HERE / "rig.yaml")).window_samples("audio")
    for row in range(count):
        yield draw_digit(material["test"], row, window, _generator(seed, "test", row), vary=False)


def _generator(seed: int, split: Split, row: int) -> np.random.Generator:
    return np.random.default_rng([seed, SPLITS.index(split), row])


def _manifest(
    model_io: ModelIO, material: dict[Split, Material], counts: dict[Split, int], settings: dict[str, object]
) -> DatasetManifest:
    task: dict[str, object] = {
        "indices": INDICES,
        "images": IMAGES,
        "background": BACKGROUND,
        "image_sigma": IMAGE_SIGMA,
        "pixel_range": (PIXEL_LOW, PIXEL_HIGH),
        "snr_db": SNR_DB,
        "varied_in_training": {"colour_db": COLOUR_DB, "shift_pixels": SHIFT_PIXELS},
        "io": model_io.model_dump(mode="json", by_alias=True),
    }
    return DatasetManifest(
        schema=1,
        name="av-digits",
        provenance=task | settings,
        inputs=tuple(
            TensorSpec(name=item.tensor, dtype="float32", shape=item.shape[1:])
            for item in model_io.inputs
            if not isinstance(item, PresentInput)
        ),
        targets=(TARGET,),
        splits={split: _members(split, material[split], count) for split, count in counts.items()},
    )


def _members(split: Split, material: Material, count: int) -> SplitSpec:
    names = [recording.name for recording in material.recordings]
    return SplitSpec(
        ids=tuple(f"{split}-{row}" for row in range(count)),
        recordings=tuple(names[row % len(names)] for row in range(count)),
        attributes={"speaker": tuple(material.recordings[row % len(names)].speaker for row in range(count))},
    )


if __name__ == "__main__":
    typer.run(main)
