"""What goes wrong during one life of a runtime: on every stream one fault after the other, drawn by a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.faults import parse_fault

if TYPE_CHECKING:
    from edge.runtime.faults import Fault

# Kind and keys; those that hit by chance leave some samples through, so that both ways are taken.
_FAULTS = (
    *("drop,p=.3", "stall", "burst", "late,p=.3,by=150ms", "duplicate,p=.5", "reorder,p=.5,k=2"),
    *("clock-step,by=5s", "clock-step,by=-5s", "nan,p=.7", "empty,p=.7", "wrong-size,p=.7", "frozen"),
)
KINDS = sorted({text.partition(",")[0] for text in _FAULTS})
_OUTAGE_S = 1.2
_LENGTH_S, _PAUSE_S = (0.3, 2.0), (0.2, 1.2)


def draw_faults(stream: str, seconds: float, words: tuple[int, ...]) -> list[Fault]:
    """Faults of a stream for so many seconds; every kind comes once before any comes again.

    In the middle all streams, each with a schedule of its own, are silent at once.
    """
    random = np.random.default_rng((*words, *stream.encode()))
    outage_s = seconds / 2
    faults = [parse_fault(f"{stream}:stall@{_ms(outage_s)}+{_ms(_OUTAGE_S)}")]
    at, deck = float(random.uniform(*_PAUSE_S)), list[str]()
    while True:
        length = float(random.uniform(*_LENGTH_S))
        if at + length > seconds:
            return faults
        deck = deck or [str(text) for text in random.permutation(_FAULTS)]
        faults.append(_fault(stream, deck.pop(), at, length))
        at += length + float(random.uniform(*_PAUSE_S))


def _fault(stream: str, text: str, at: float, length: float) -> Fault:
    kind, comma, keys = text.partition(",")
    return parse_fault(f"{stream}:{kind}@{_ms(at)}+{_ms(length)}{comma}{keys}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms"
