"""What a metric counts, by the recording that the samples came from: what a clustered bootstrap draws from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.runtime.arrays import pack_arrays, unpack_arrays
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.samples import SampleSet

_DIGEST = "samples"  # no modality state has this name


@dataclass(frozen=True, eq=False)
class RecordingCounts:
    """Counts of one model on one split.

    Attributes:
        samples: Digest of the samples' ids and recordings, in order; only equal ones can be compared in pairs.
        by_state: float64 `[recordings, counts]` of each modality state.
    """

    samples: str
    by_state: dict[str, NDArray[np.float64]]

    @property
    def recordings(self) -> int:
        """How many recordings the samples came from."""
        return max((len(counts) for counts in self.by_state.values()), default=0)

    def to_bytes(self) -> bytes:
        """An `.npz` file; equal counts give equal bytes."""
        digest = np.frombuffer(bytes.fromhex(self.samples), np.uint8)
        return pack_arrays({**self.by_state, _DIGEST: digest})

    @classmethod
    def from_bytes(cls, content: bytes) -> RecordingCounts:
        """Reads what `to_bytes` gave.

        Raises:
            DataError: It is no such file.
        """
        arrays = unpack_arrays(content)
        digest = arrays.pop(_DIGEST, None)
        if digest is None or any(a.dtype != np.float64 or a.ndim != 2 for a in arrays.values()):
            raise DataError("the file holds no counts by recording", "evaluate again")
        return cls(digest.tobytes().hex(), arrays)


class RecordingSums:
    """Adds up samples' counts by recording.

    Args:
        recordings: Of each sample of the split.
        chosen: Places int64 of the samples that will come, in their order; all of them if None.
    """

    def __init__(self, recordings: Sequence[str], chosen: Tensor | None = None) -> None:
        rows: dict[str, int] = {}
        of_all = torch.tensor([rows.setdefault(name, len(rows)) for name in recordings])
        self._row = of_all if chosen is None else of_all[chosen]
        self._rows = len(rows)
        self._sums: Tensor | None = None
        self._at = 0

    def add(self, counts: Tensor) -> None:
        """Takes `[B, counts]` of the next B samples."""
        if self._sums is None:
            self._sums = torch.zeros(self._rows, counts.shape[1], dtype=torch.float64)
        self._sums.index_add_(0, self._row[self._at : self._at + len(counts)], counts)
        self._at += len(counts)

    @property
    def sums(self) -> Tensor:
        """`[recordings, counts]` so far, in the order of the recordings' first samples."""
        assert self._sums is not None, "a split has at least one sample"
        return self._sums


def samples_digest(data: SampleSet) -> str:
    """Names the samples of a split and their recordings, in order."""
    text = "\n".join(f"{i}\t{recording}" for i, recording in zip(data.ids, data.recordings, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()
