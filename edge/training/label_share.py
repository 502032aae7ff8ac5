"""A part of the labels: training on few, as where labelling is dear, chosen once and for all by recording."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.compress.samples import SampleSet


def labelled_part(data: SampleSet, share: float) -> SampleSet:
    """The samples whose labels may be used: all samples of a share of the recordings, in their order.

    Which recordings are chosen is up to a digest of their names, so that it is the same everywhere and a smaller share
    is part of a larger one. Where every sample has one class, each class gives its share, at least one recording; a
    recording of several classes counts for its most frequent one.

    Args:
        data: A training split; a first target int64 `[N]` is its class.
        share: Of the recordings, above 0 and up to 1.

    Raises:
        DataError: The share is out of that range.
    """
    if not 0 < share <= 1:
        raise DataError(f"a share of {share} of the labels", "give more than 0 and at most 1")
    if share == 1:
        return data
    chosen: set[str] = set()
    for recordings in _by_class(data):
        in_order = sorted(recordings, key=_digest)
        chosen.update(in_order[: max(1, round(share * len(in_order)))])
    return data.subset([row for row, recording in enumerate(data.recordings) if recording in chosen])


def _by_class(data: SampleSet) -> Iterable[set[str]]:
    """The recordings of each class; all in one where samples have no class of their own."""
    target = data.targets[0] if data.targets else None
    if target is None or target.dim() != 1 or target.is_floating_point():
        return [set(data.recordings)]
    counted: dict[str, Counter[int]] = {}
    for recording, which in zip(data.recordings, target.tolist(), strict=True):
        counted.setdefault(recording, Counter())[which] += 1
    classes: dict[int, set[str]] = {}
    for recording, counts in counted.items():
        most = max(counts.values())
        classes.setdefault(min(c for c, n in counts.items() if n == most), set()).add(recording)
    return classes.values()


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
