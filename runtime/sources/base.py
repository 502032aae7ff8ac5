"""What the pipeline asks of a source of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample


class Source(Protocol):
    """Samples of one or several streams, in the order of their arrival."""

    @property
    def description(self) -> str:
        """One line for the report: what this is and whether it is real, mixed in or simulated."""

    @property
    def rig(self) -> Rig:
        """The sensors that this source knows of."""

    def samples(self) -> Iterator[Sample]:
        """All samples, `arrival_ns` never decreasing.

        Raises:
            SourceError: The recording is missing, truncated or malformed.
        """
