"""What the pipeline asks of a receiver of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge.runtime.result import FusedResult


class Sink(Protocol):
    """Takes each result as it is emitted; `close` makes what was written complete, or leaves nothing."""

    def write(self, result: FusedResult) -> None:
        """Takes one result."""

    def close(self, *, complete: bool) -> None:
        """Finishes: publishes the output where the run was complete, removes it otherwise."""
