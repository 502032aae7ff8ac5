"""What a run must keep to pass: bounds on silence, completeness and recovery, for a pipeline's own CI."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.runtime.errors import ConfigError, GateError
from edge.runtime.faults.source import FaultySource
from edge.runtime.states import choose_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.report.contents import RuntimeReport
    from edge.runtime.bundle import Bundle
    from edge.runtime.sources.base import Source


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Bounds of a run; None where there is none.

    Attributes:
        max_gap_s: Longest silence between two results.
        min_complete: Least share of results in the best state that the source allows, 0..1.
        max_recovery_s: Longest time from the end of the last fault until results are complete again.

    Raises:
        ConfigError: A bound is negative or no number, or the share above 1.
    """

    max_gap_s: float | None = None
    min_complete: float | None = None
    max_recovery_s: float | None = None

    def __post_init__(self) -> None:
        bounds = (("gap", self.max_gap_s), ("recovery", self.max_recovery_s))
        for name, value in bounds:
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"--max-{name} {value:g} is no length of time", "give seconds, say 0.25")
        if self.min_complete is not None and not 0 <= self.min_complete <= 1:
            raise ConfigError(f"--min-complete {self.min_complete:g} is no share", "give 0 to 1, say 0.9")

    def check_answerable(self, source: Source) -> None:
        """Refuses a bound on recovery from nothing, or from a fault that never ends.

        Raises:
            ConfigError: The source has no faults, or one without an end.
        """
        if self.max_recovery_s is None:
            return
        faults = source.faults if isinstance(source, FaultySource) else ()
        if not faults:
            raise ConfigError("--max-recovery is given, but no fault to recover from", "add --fault or leave it out")
        lasting = [fault for fault in faults if fault.recoverable_ns is None]
        if lasting:
            raise ConfigError(
                f"nothing recovers from fault '{lasting[0]}', which lasts to the end of the run",
                "give the fault a +LENGTH or leave --max-recovery out",
            )


def best_state(source: Source, bundle: Bundle) -> str:
    """The state of a complete result: the largest validated one that the source's streams allow."""
    return choose_state(source.rig.streams, bundle.model_io.modalities, bundle.states)


def check_limits(report: RuntimeReport, limits: RunLimits, best: str) -> None:
    """Holds a run to its bounds.

    Args:
        report: The run.
        limits: The bounds.
        best: The state that counts as complete.

    Raises:
        GateError: A bound was not kept; the message says which, and by how much.
    """
    broken = list(_broken(report, limits, best))
    if broken:
        raise GateError(f"the run did not keep: {', '.join(broken)}", "see report.json, or allow more")


def _broken(report: RuntimeReport, limits: RunLimits, best: str) -> Iterator[str]:
    if limits.max_gap_s is not None:
        yield from _above("max-gap", report.max_gap_s, limits.max_gap_s, "there were fewer than two results")
    if limits.min_complete is not None:
        share = report.completeness.get(best, 0.0)
        if share < limits.min_complete:
            missing = limits.min_complete - share
            yield f"min-complete {limits.min_complete:g} ({share:.4g} were '{best}', {missing:.4g} too few)"
    if limits.max_recovery_s is not None:
        never = "no complete result came after the faults"
        yield from _above("max-recovery", report.recovery_s, limits.max_recovery_s, never)


def _above(name: str, found_s: float | None, limit_s: float, absent: str) -> Iterator[str]:
    if found_s is None:
        yield f"{name} {limit_s:g} s ({absent})"
    elif found_s > limit_s:
        yield f"{name} {limit_s:g} s (it was {found_s:.3f} s, {found_s - limit_s:.3f} s more)"
