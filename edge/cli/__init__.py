"""The `edge` command: one file a verb, imported when the verb is called; what is heavy waits until it runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge.cli.verbs import VerbGroup

# They warn of CUDA libraries that a CPU build lacks.
IMPORT_NOISE = ("torchao", "torch.utils._pytree", "torch_tensorrt", "py.warnings")

app = typer.Typer(
    name="edge",
    cls=VerbGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain help: drawing frames takes longer than all the rest
    help="From PyTorch to a Jetson-class board: compress, compile and run multimodal fusion models.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from edge import __version__

        typer.echo(f"edge {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the verb."""
    import logging

    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    for name in () if debug else IMPORT_NOISE:
        logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    """Runs the command line; a user's mistake is one line on stderr and exit code 2, a failed gate 3."""
    from edge.runtime.errors import EdgeError

    try:
        app()
    except EdgeError as error:
        if "--debug" in sys.argv:
            raise
        _print_error(str(error))
        sys.exit(error.exit_code)


def _print_error(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble(("edge: ", "bold red"), message), soft_wrap=True)
