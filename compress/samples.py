"""Model-ready samples in memory: what training, distillation, calibration and evaluation read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples of one split.

    Attributes:
        split: `train`, `validation` or `test`.
        ids: One per sample, unique over all splits.
        recordings: The recording (drive, scene) that each sample came from; statistics cluster by it.
        inputs: `[N, ...]`, one a modality, in the model's order; float32, or int64 token ids. `present` is added by
            the reader.
        targets: In the order that the task wants.
        available: float32 `[N, modalities]` of 0 and 1: what a sample has at all; None where every one has everything.
        attributes: Named properties, one value a sample, by which results are sliced; no model reads them.
    """

    split: str
    ids: tuple[str, ...]
    recordings: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    available: Tensor | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.recordings), *(len(t) for t in (*self.inputs, *self.targets))}
        lengths |= {len(values) for values in self.attributes.values()}
        if self.available is not None:
            lengths.add(len(self.available))
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
            None if self.available is None else self.available[chosen],
            {name: tuple(values[i] for i in indices) for name, values in self.attributes.items()},
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

    def masked(self, chosen: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        """The model's positional inputs of some rows, `present` last; of that, what `presence` says.

        Args:
            chosen: Row numbers int64 `[n]`.
            present: float32 `[n, modalities]` of 0 and 1.
        """
        return mask_modalities(tuple(t[chosen] for t in self.inputs), self.presence(chosen, present))

    def having(self, present: Tensor) -> Tensor:
        """Row numbers int64, rising, of the samples that have any of the modalities.

        Args:
            present: float32 `[modalities]` of 0 and 1.
        """
        if self.available is None:
            return torch.arange(len(self))
        return (self.available * present).any(1).nonzero().flatten()

    def presence(self, chosen: Tensor, present: Tensor) -> Tensor:
        """What is there of what is asked for, alike.

        A modality that a sample does not have is absent whatever is asked for; where that would leave nothing, the
        sample keeps all that it has.

        Args:
            chosen: Row numbers int64 `[n]`.
            present: float32 `[n, modalities]` of 0 and 1.
        """
        if self.available is None:
            return present
        has = self.available[chosen]
        kept = present * has
        return torch.where(kept.any(1, keepdim=True), kept, has)


def mask_modalities(inputs: Sequence[Tensor], present: Tensor) -> tuple[Tensor, ...]:
    """The model's positional inputs: missing modalities zeroed, then `present` itself.

    Args:
        inputs: `[B, ...]`, one a modality, float32 or int64.
        present: float32 `[B, modalities]` of 0 and 1.
    """
    masked = [x * present[:, i].to(x.dtype).reshape(-1, *([1] * (x.dim() - 1))) for i, x in enumerate(inputs)]
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
