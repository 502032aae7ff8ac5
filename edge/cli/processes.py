"""A verb on all processes that `torchrun` or `accelerate launch` started: one speaks, and all end alike."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def across_processes(verb: Callable[..., None]) -> Callable[..., None]:
    """Lets a verb run on several processes at once; one alone runs as ever.

    Only the first prints, shows progress and logs. An error on any of them ends all with its exit code, and the first
    says what it was.

    Args:
        verb: The same work on every process, which shares it out by `edge.compress.parallel`.
    """

    @wraps(verb)
    def run(**arguments: Any) -> None:
        from edge.compress.parallel.ranks import launched_ranks

        if launched_ranks().world == 1:
            verb(**arguments)
        else:
            _run_among_others(verb, arguments)

    return run


def refuse_several(problem: str) -> None:
    """Refuses what only one process can do.

    Args:
        problem: What it is.

    Raises:
        ConfigError: This process was launched as one of several.
    """
    from edge.compress.parallel.ranks import launched_ranks
    from edge.runtime.errors import ConfigError

    if launched_ranks().world > 1:
        raise ConfigError(problem, "run the command without torchrun or accelerate")


def _run_among_others(verb: Callable[..., None], arguments: dict[str, Any]) -> None:
    from edge.compress.parallel.endings import ending_together
    from edge.compress.parallel.ranks import launched_ranks
    from edge.runtime.errors import EdgeError

    first = launched_ranks().first
    try:
        with ending_together(), nullcontext() if first else _silence():
            verb(**arguments)
    except EdgeError as error:
        if first:
            raise
        raise typer.Exit(error.exit_code) from None


@contextmanager
def _silence() -> Iterator[None]:
    """Says nothing but errors: the first process says the rest, and the same. Under --debug every process logs."""
    quieted = logging.getLogger().level > logging.DEBUG
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        logging.disable(logging.WARNING if quieted else logging.NOTSET)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
