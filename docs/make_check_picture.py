"""Runs `edge check` on a bundle and keeps what it prints as docs/images/check.svg.

Run: .venv-preflight/bin/python docs/make_check_picture.py runs/demo/bundle
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from edge.runtime.atomic import atomic_file

PICTURE = Path(__file__).parent / "images" / "check.svg"
WIDTH = 116
REMOTE_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture loads nothing from elsewhere


def main(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    target: Annotated[str, typer.Option("--target")] = "orin-nano-8gb",
    jetpack: Annotated[str, typer.Option("--jetpack")] = "6.2",
) -> None:
    """Writes the picture."""
    draw_command(["check", str(bundle), "--target", target, "--jetpack", jetpack], PICTURE)


def draw_command(command: list[str], picture: Path, folder: Path | None = None) -> None:
    """Runs `edge` with these arguments, in `folder`, and keeps what it prints as an SVG.

    Raises:
        typer.Exit: It failed, with its exit code.
    """
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(f"$ edge {' '.join(command)}", style="bold", highlight=False)
    console.print(Text.from_ansi(_output(command, folder)), soft_wrap=True)  # it is wrapped already
    drawn = REMOTE_FONT.sub("", console.export_svg(title=f"edge {command[0]}", theme=MONOKAI))
    with atomic_file(picture) as partial:
        partial.write_text(drawn, encoding="utf-8")


def _output(command: list[str], folder: Path | None) -> str:
    environment = {**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "edge", *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        typer.echo(done.stdout + done.stderr, err=True)
        raise typer.Exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    typer.run(main)
