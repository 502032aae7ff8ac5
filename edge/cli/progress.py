"""Progress bars of the long verbs: one line per step of the work, with what it is doing now."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console


class Steps:
    """Hands out callbacks that move bars."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def counter(self, description: str, total: int | None) -> Callable[[int], None]:
        """A bar that moves by the number it is called with."""
        task = self._progress.add_task(description, total=total, detail="")

        def advance(count: int) -> None:
            self._progress.advance(task, count)

        return advance

    def fitting(self, description: str) -> Callable[[int, int, float], None]:
        """A bar for a training loop: (steps done, steps in all, loss)."""
        task = self._progress.add_task(description, total=None, detail="")

        def update(done: int, total: int, loss: float) -> None:
            self._progress.update(task, completed=done, total=total, detail=f"loss {loss:.3f}")

        return update

    @contextmanager
    def doing(self, description: str) -> Iterator[None]:
        """A spinner while the body runs."""
        task = self._progress.add_task(description, total=None, detail="")
        yield
        self._progress.update(task, total=1, completed=1)


@contextmanager
def progress_steps(console: Console) -> Iterator[Steps]:
    """Shows bars while the body runs; plain lines where the output is no terminal."""
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield Steps(progress)
