"""Draws the pictures of the README from the street simulator, and takes one of a report's page.

Run: python docs/make_pictures.py [--report runs/demo/report.html] [--run runs/faults/report.html]
Nothing here is a recording, so the pictures may be committed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import matplotlib.pyplot as plt
import typer
from PIL import Image

from edge.report.figures import FusedFrame
from edge.report.picture import frame_png
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import EdgeError, MissingDependencyError
from edge.runtime.model_io import LogMelInput
from edge.runtime.preprocess.lidar_view import PointProjector
from edge.runtime.preprocess.logmel import LogMel
from edge.runtime.simulate.camera import StreetCamera
from edge.runtime.simulate.lidar import StreetLidar
from edge.runtime.simulate.microphone import StreetMicrophone
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.street import Street

if TYPE_CHECKING:
    from edge.runtime.rig import Rig
    from edge.runtime.simulate.street import Snapshot

IMAGES = Path(__file__).parent / "images"
SHOWN_SIZE = (1248, 384)  # three times the simulated camera's own, for the eye
DAY, NIGHT = (11, 70.0), (12, 85.0)  # seed and second
SIREN_WINDOW_S = 4.0
SIREN = DAY  # of the emergency vehicle in that picture
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE_SIZE, RUN_SIZE = "1100,1900", "1100,1290"


def main(
    report: Annotated[Path | None, typer.Option(help="A demo's report.html to photograph; needs Chromium.")] = None,
    run: Annotated[Path | None, typer.Option(help="The report.html of a run with faults, on simulated data.")] = None,
) -> None:
    """Writes docs/images."""
    try:
        _draw_street(DAY, IMAGES / "street.jpg")
        _draw_street(NIGHT, IMAGES / "street_night.jpg")
        _draw_sound(SIREN, IMAGES / "siren.png")
        if report:
            photograph(report.resolve(), IMAGES / "report.jpg", PAGE_SIZE)
        if run:
            photograph(run.resolve(), IMAGES / "run_levels.jpg", RUN_SIZE)
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def _draw_street(moment: tuple[int, float], path: Path) -> None:
    seed, second = moment
    rig = _larger(street_rig())
    frame = _frame(rig, Street(seed).snapshot_at(second))
    with atomic_file(path) as partial:
        picture = Image.open(BytesIO(frame_png(frame))).convert("RGB")
        picture.save(partial, format="JPEG", quality=88)


def _frame(rig: Rig, snapshot: Snapshot) -> FusedFrame:
    points = StreetLidar(rig).sweep(snapshot).points
    projector = PointProjector(rig.intrinsics("camera"), rig.transform("camera", "lidar"))
    pixels, seen = projector.pixels(points)
    image = StreetCamera(rig).render(snapshot).pixels
    return FusedFrame(image=image, points_px=pixels[seen, :2], depth_m=pixels[seen, 2])


def _larger(rig: Rig) -> Rig:
    camera = rig.stream("camera")
    lens = rig.intrinsics("camera").scaled(*SHOWN_SIZE)
    streams = {**rig.streams, "camera": camera.model_copy(update={"intrinsics": lens})}
    return rig.model_copy(update={"streams": streams})


def _draw_sound(moment: tuple[int, float], path: Path) -> None:
    seed, second = moment
    microphone = StreetMicrophone(street_rig())
    frames = round((SIREN_WINDOW_S * microphone.rate_hz - 400) / 160) + 1
    config = LogMelInput(tensor="audio", stream="audio", shape=(1, 1, 64, frames), rate_hz=microphone.rate_hz)
    features = LogMel(config).features(microphone.window(Street(seed), second, config.window_samples))
    figure, axes = plt.subplots(figsize=(12.8, 3.0), dpi=100, layout="constrained")
    axes.imshow(features, origin="lower", aspect="auto", cmap="magma", extent=(-SIREN_WINDOW_S, 0, 0, len(features)))
    axes.set(xlabel="seconds before the anchor", ylabel="mel band")
    with atomic_file(path) as partial:
        figure.savefig(partial, format="png")
    plt.close(figure)


def photograph(page: Path, path: Path, size: str) -> None:
    """Has Chromium draw a page in a window of `size` and keeps that as JPEG.

    Raises:
        MissingDependencyError: There is no Chromium.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise MissingDependencyError("no Chromium is installed", "install it with: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile, atomic_file(path) as partial:
        shot = Path(profile) / "page.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        options += ["--disable-background-networking", f"--user-data-dir={profile}", f"--window-size={size}"]
        subprocess.run(
            [browser, *options, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True, timeout=60
        )
        Image.open(shot).convert("RGB").save(partial, format="JPEG", quality=85)


if __name__ == "__main__":
    typer.run(main)
