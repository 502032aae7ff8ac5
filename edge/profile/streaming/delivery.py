"""At what rate a source really delivered: recorded arrivals tell what should have been, not what was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge.runtime.sample import Sample

# So far below the rate asked for a source counts as slower.
SLOWER = 0.03


class DeliveryMeter:
    """Passes samples on to a feeder and notes when those of one stream were pushed.

    A feeder asks for the next sample right after it has pushed the last one, and that is the instant.

    Args:
        stream: Whose samples are counted.
        now_ns: Of the run's clock.
    """

    def __init__(self, stream: str, now_ns: Callable[[], int]) -> None:
        self._stream, self._now_ns = stream, now_ns
        self._first_ns: int | None = None
        self._last_ns = 0
        self.delivered = 0

    def passing(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples, unchanged."""
        for sample in samples:
            yield sample
            if sample.stream == self._stream:
                self._last_ns = self._now_ns()
                self._first_ns = self._last_ns if self._first_ns is None else self._first_ns
                self.delivered += 1

    @property
    def rate_hz(self) -> float | None:
        """Samples a second from the first to the last; None of fewer than two, or where they came at one instant."""
        if self._first_ns is None or self.delivered < 2 or self._last_ns <= self._first_ns:
            return None
        return (self.delivered - 1) * NS_PER_S / (self._last_ns - self._first_ns)


def slowness_note(stream: str, asked_hz: float, delivered_hz: float | None) -> str | None:
    """One line where the source did not keep up; None where it did."""
    if delivered_hz is None:
        return f"The source delivered fewer than two samples of the anchor {stream}: its rate is not known."
    if delivered_hz >= (1.0 - SLOWER) * asked_hz:
        return None
    return (
        f"The source is slower than the scenario: it delivered {stream} at {delivered_hz:.3g} Hz where "
        f"{asked_hz:.3g} Hz were asked for, so all figures are of the lower rate."
    )
