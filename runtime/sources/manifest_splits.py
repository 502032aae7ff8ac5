"""Which split a row of a manifest belongs to: as a column says, or by its recording's name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.runtime.sources.manifest_bad_rows import BadRows
    from edge.runtime.sources.manifest_layout import SplitShares

SPLIT_NAMES = ("train", "validation", "test")


def split_by_share(recording: str, shares: SplitShares) -> str:
    """The split of a recording: its name's SHA-256 as a number in 0..1, cut at the shares.

    It depends on nothing else, so rows that come later move none of the others.
    """
    digest = hashlib.sha256(recording.encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < shares.test:
        return "test"
    return "validation" if place < shares.test + shares.validation else "train"


class SplitKeeper:
    """Sees that no recording is in two splits.

    Args:
        bad: Takes the rows of those that are.
        column: Which says the split.
    """

    def __init__(self, bad: BadRows, column: str) -> None:
        self._bad, self._column = bad, column
        self._owners: dict[str, tuple[str, int]] = {}

    def take(self, row: int, recording: str, split: str) -> None:
        """Looks at the next row."""
        if split not in SPLIT_NAMES:
            said = f"'{split}' is no split" if split else "the split is missing"
            self._bad.add(row, self._column, said, f"write one of {', '.join(SPLIT_NAMES)}")
            return
        owner, first = self._owners.setdefault(recording, (split, row))
        if owner != split:
            self._bad.add(
                row,
                self._column,
                f"recording '{recording}' is in '{split}' here, and in '{owner}' in row {first}",
                "give all rows of a recording to one split",
            )
