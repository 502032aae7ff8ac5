"""What a run's report says of the machine beside the figures: what changed meanwhile, and what was not permitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.machine_state.differences import changes_during
from edge.sentences import as_sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.machine_state.state import MachineState
    from edge.runtime.realtime.applying import RealtimeScope


def machine_notes(before: MachineState, after: MachineState, realtime: RealtimeScope | None) -> Iterator[str]:
    """Sentences for the reader; none where the machine stayed as it was and did what was asked."""
    changes = changes_during(before, after)
    yield from as_sentences(f"{change.sentence}: figures of this run may not repeat" for change in changes)
    if realtime is not None:
        yield from realtime.notes
