"""Notes, which other sentences may hold, as sentences of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def as_sentences(notes: Iterable[str]) -> tuple[str, ...]:
    """Each with a capital first letter and a full stop."""
    return tuple(f"{note[:1].upper()}{note[1:]}." for note in notes)
