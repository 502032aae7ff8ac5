"""What a run's report says of the machine beside the figures: what changed meanwhile, and what was not permitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.machine_state.differences import changes_during

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.machine_state.state import MachineState
    from edge.runtime.realtime.applying import RealtimeScope


def machine_notes(before: MachineState, after: MachineState, realtime: RealtimeScope | None) -> Iterator[str]:
    """Sentences for the reader; none where the machine stayed as it was and did what was asked."""
    for change in changes_during(before, after):
        yield f"{change.sentence[:1].upper()}{change.sentence[1:]}: figures of this run may not repeat."
    if realtime is not None:
        yield from realtime.notes
