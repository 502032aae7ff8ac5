"""A line on the terminal that changes only when it is told: a thread that draws would be in the latencies."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def status_line(doing: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Shows on stderr what is being done, and behind it what it is told; nothing where that is no terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda words: None
        return
    with Live(Text(f"{doing} ..."), console=console, auto_refresh=False, transient=True) as live:
        yield lambda words: live.update(Text(f"{doing}: {words}"), refresh=True)
