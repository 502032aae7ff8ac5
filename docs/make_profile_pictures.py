"""Profiles a bundle on the street simulator; keeps what is printed and the top of the page as pictures.

Run: python docs/make_profile_pictures.py runs/demo/bundle
Nothing here is a recording, so the pictures may be committed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from shutil import copytree
from typing import Annotated

import typer
from make_check_picture import draw_command
from make_pictures import IMAGES, photograph

from edge.profile.stored import PAGE_NAME
from edge.runtime.errors import EdgeError

TERMINAL, PAGE = IMAGES / "profile.svg", IMAGES / "profile.jpg"
PAGE_SIZE = "1100,2560"
BUNDLE, PROFILE = "runs/demo/bundle", "runs/profile"  # as readers have them, and where the profile goes by default


def main(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    samples: Annotated[int, typer.Option("--samples", help="Inferences that count.")] = 3000,
) -> None:
    """Writes both pictures of one profile."""
    with tempfile.TemporaryDirectory() as folder:
        copytree(bundle, Path(folder) / BUNDLE)
        try:
            draw_command(
                ["profile", BUNDLE, "--source", "sim:seed=3", "--samples", str(samples)], TERMINAL, Path(folder)
            )
            photograph(Path(folder) / PROFILE / PAGE_NAME, PAGE, PAGE_SIZE)
        except EdgeError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
