"""The `edge` command: one file a verb. Verb modules import only typer; what is heavy waits for the call."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

# edge.cli.<verb> holds a function of the verb's name.
VERBS = ("demo", "train", "compress", "run", "verify", "inspect")

app = typer.Typer(
    name="edge",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="From PyTorch to a Jetson-class board: compress, compile and run multimodal fusion models.",
)
for _verb in VERBS:
    app.command(name=_verb)(getattr(import_module(f"edge.cli.{_verb}"), _verb))


def _print_version(wanted: bool) -> None:
    if wanted:
        from edge import __version__

        Console().print(f"edge {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the verb."""
    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Runs the command line; a user's mistake is one line on stderr and exit code 2, a failed gate 3."""
    from edge.runtime.errors import EdgeError

    try:
        app()
    except EdgeError as error:
        if "--debug" in sys.argv:
            raise
        Console(stderr=True).print(Text.assemble(("edge: ", "bold red"), str(error)), soft_wrap=True)
        sys.exit(error.exit_code)
