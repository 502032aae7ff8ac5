"""Model-ready samples in memory: what training, distillation, calibration and evaluation read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples of one split.

    Attributes:
        split: `train`, `validation` or `test`.
        ids: One per sample, unique over all splits.
        recordings: The recording (drive, scene) that each sample came from; statistics cluster by it.
        inputs: float32 `[N, C, H, W]`, one a modality, in the model's order; `present` is added by the reader.
        targets: In the order that the task wants.
    """

    split: str
    ids: tuple[str, ...]
    recordings: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.recordings), *(len(t) for t in (*self.inputs, *self.targets))}
        if len(lengths) != 1 or not self.ids:
            raise DataError(
                f"split '{self.split}' is empty or its parts differ in length: {sorted(lengths)}",
                "generate the dataset again",
            )

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, indices: Sequence[int]) -> SampleSet:
        """The samples at `indices`, in that order."""
        chosen = torch.as_tensor(list(indices), dtype=torch.long)
        return SampleSet(
            self.split,
            tuple(self.ids[i] for i in indices),
            tuple(self.recordings[i] for i in indices),
            tuple(t[chosen] for t in self.inputs),
            tuple(t[chosen] for t in self.targets),
        )

    def batches(
        self, size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
        """Inputs and targets, `size` at a time; shuffled where a generator is given."""
        for chosen in self.batch_rows(size, generator):
            yield self.rows(chosen)

    def batch_rows(self, size: int, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Row numbers int64 of each batch, the last one perhaps shorter; shuffled where a generator is given."""
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        parts: tuple[Tensor, ...] = order.split(size)
        return parts

    def rows(self, chosen: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Inputs and targets of the rows int64 `[n]`."""
        return tuple(t[chosen] for t in self.inputs), tuple(t[chosen] for t in self.targets)


def mask_modalities(inputs: Sequence[Tensor], present: Tensor) -> tuple[Tensor, ...]:
    """The model's positional inputs: missing modalities zeroed, then `present` itself.

    Args:
        inputs: `[B, C, H, W]`, one a modality.
        present: float32 `[B, modalities]` of 0 and 1.
    """
    masked = [x * present[:, i].reshape(-1, *([1] * (x.dim() - 1))) for i, x in enumerate(inputs)]
    return (*masked, present)


def draw_present(batch: int, modalities: int, dropout: float, generator: torch.Generator | None = None) -> Tensor:
    """Modality dropout: with probability `dropout` a sample keeps a random non-empty subset of modalities.

    The subsets are drawn uniformly, so single modalities are trained as often as any pair.
    """
    present = torch.ones(batch, modalities)
    if modalities < 2 or dropout <= 0:
        return present
    codes = torch.randint(1, 2**modalities, (batch,), generator=generator)
    subsets = (codes[:, None] >> torch.arange(modalities)[None, :]) & 1
    dropped = torch.rand(batch, generator=generator) < dropout
    return torch.where(dropped[:, None], subsets.float(), present)
