"""The verbs of `edge`: a line about each for the help, and its module, imported only when the verb is called."""

from __future__ import annotations

from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable

# edge.cli.<verb> holds a function of the verb's name.
VERBS = {
    "demo": "Train, compress and run a fusion model on simulated streets.",
    "train": "Train the teacher of a project.",
    "compress": "Distil, prune and quantize a teacher; pack the bundle.",
    "explain": "Say what a model rests on, where it fails, and whom it fails.",
    "calibrate": "Find INT8 scales on a calibration set (sensor geometry is the rig).",
    "check": "Ask what a board's compiler would make of a model.",
    "estimate": "Estimate latency and memory on a board.",
    "build": "Build the engine that this board runs, and prove it.",
    "run": "Fuse a source's synchronized streams with a bundle's model.",
    "profile": "Time a model or bundle, and compare with another or with before.",
    "verify": "Check a bundle's signature, files and golden outputs.",
    "inspect": "Show what a bundle holds.",
    "sign": "Sign a bundle, or make the key pair for that.",
    "doctor": "Say what this machine can do, and what it lacks.",
}
INTERRUPTED = 130  # as shells say of Ctrl-C


class VerbGroup(TyperGroup):
    """Lists the verbs by their lines above: reading every module's options costs the help half its time."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {verb: TyperCommand(verb, help=line) for verb, line in VERBS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb with its own options in place of the line about it.

        Raises:
            click's UsageError: There is no such verb; the nearest ones are named.
        """
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else _command(name), rest


def _command(verb: str) -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(name=verb)(_interruptible(getattr(import_module(f"edge.cli.{verb}"), verb)))
    return typer.main.get_command(app)


def _interruptible(function: Callable[..., None]) -> Callable[..., None]:
    """Ctrl-C ends a verb with 130, after everything half-written has been cleared away."""

    @wraps(function)
    def run(**arguments: Any) -> None:
        try:
            function(**arguments)
        except KeyboardInterrupt:
            typer.echo("edge: interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None

    return run
