"""What a machine did while something was timed on it: its state before and after, the power of its rails, memory."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edge.profile.contents import Energy
from edge.runtime.byte_sizes import MIB
from edge.runtime.machine_state.differences import changes_during
from edge.runtime.machine_state.rails import open_rails
from edge.runtime.machine_state.reading import read_machine_state
from edge.runtime.machine_state.sampling import RailSampler
from edge.runtime.memory_budget import peak_bytes
from edge.sentences import as_sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.runtime.machine_state.state import MachineState


class Surroundings:
    """A context manager around the timed part alone: rails are read from entering to leaving.

    Args:
        threads: Settings of the engine, for the record.
        root: Below which the system's files are.

    Attributes:
        before: The machine's state before.
        after: And after; as `before` until it is left.
        memory_peak_mib: The most that the process ever held until it was left.
    """

    def __init__(self, threads: Mapping[str, int | str], root: Path = Path("/")) -> None:
        self._threads, self._root = threads, root
        self._stack = ExitStack()
        self._sampler: RailSampler | None = None
        self.before: MachineState = read_machine_state(root, threads)
        self.after = self.before
        self.memory_peak_mib = peak_bytes() / MIB

    def __enter__(self) -> Surroundings:
        rails = open_rails(self._root)
        if rails is not None:
            self._stack.enter_context(rails)
            self._sampler = self._stack.enter_context(RailSampler(rails))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.memory_peak_mib = peak_bytes() / MIB
        self.after = read_machine_state(self._root, self._threads)

    def energy(self, results: int) -> Energy | None:
        """Of one result; None where no rails could be read twice."""
        found = self._sampler.energy() if self._sampler is not None else None
        if found is None or not results:
            return None
        return Energy(
            source=found.source,
            rails_mw=found.rails_mw,
            millijoules=found.millijoules / results,
            total=found.total,
            readings=found.readings,
        )

    @property
    def changes(self) -> tuple[str, ...]:
        """What changed under way that should not have, in sentences."""
        return as_sentences(change.sentence for change in changes_during(self.before, self.after))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: why there is no energy, and what changed under way."""
        if self._sampler is None:
            told = ["No energy: this machine shows no supply rails."]
        else:
            told = [] if self._sampler.energy() else ["No energy: the rails could not be read twice in that time."]
        return (*told, *self.changes)
