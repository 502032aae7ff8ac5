"""The batches of a training: drawn, augmented, and with modalities left out; the same whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from edge.compress.parallel.ranks import Ranks
from edge.compress.samples import draw_present, mask_modalities
from edge.runtime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from edge.compress.learning.config import FitConfig
    from edge.compress.samples import SampleSet

# Changes a batch's modality tensors before modalities are left out: (tensors, present `[B, modalities]`, generator).
Augment = Callable[[tuple["Tensor", ...], "Tensor", torch.Generator], tuple["Tensor", ...]]
# Positional inputs with `present` last, and targets.
Batch = tuple[tuple["Tensor", ...], tuple["Tensor", ...]]

_AUGMENTING = 0x9E3779B9  # keeps what augmentation draws apart from what shuffling draws of the same seed


class BatchSource:
    """This rank's rows of every full batch; all ranks draw alike, and the same whatever their number.

    Args:
        data: The training split.
        config: Sizes, modality dropout, sampling, seed.
        ranks: Who shares each batch.
        augment: Called with whole batches on every rank, so that all ranks draw alike.
        draw_weights: `[N]`, how likely each sample is drawn where sampling is balanced.

    Raises:
        DataError: The data is not a training split, or smaller than a batch.
        ConfigError: A part of a batch has less than two rows, or balanced sampling has no weights to go by.
    """

    def __init__(
        self,
        data: SampleSet,
        config: FitConfig,
        ranks: Ranks,
        augment: Augment | None = None,
        draw_weights: Tensor | None = None,
    ) -> None:
        _check_sizes(data, config, ranks)
        if config.sampling == "balanced" and draw_weights is None:
            raise ConfigError("sampling: balanced needs classes to go by", "set it where labels are learned")
        self._data, self._config, self._augment = data, config, augment
        self._rows = [_share(part, ranks, config) for part in range(config.accumulate)]
        self._weights = draw_weights if config.sampling == "balanced" else None
        self._drawing = torch.Generator().manual_seed(config.seed)
        self._augmenting = torch.Generator().manual_seed(config.seed ^ _AUGMENTING)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the split."""
        return len(self._data) // self._config.batch_size

    def epoch(self) -> Iterator[list[Batch]]:
        """The batches of the next epoch, each in the parts that it is computed in."""
        size = self._config.batch_size
        for chosen in self._order().split(size):
            if len(chosen) == size:
                yield self._parts(chosen)

    def state(self) -> dict[str, Tensor]:
        """What the next epoch is drawn from, uint8."""
        return {"drawing": self._drawing.get_state(), "augmenting": self._augmenting.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes on from such a state."""
        self._drawing.set_state(state["drawing"])
        self._augmenting.set_state(state["augmenting"])

    def _order(self) -> Tensor:
        count = len(self._data)
        if self._weights is not None:
            return torch.multinomial(self._weights, count, replacement=True, generator=self._drawing)
        return torch.randperm(count, generator=self._drawing)

    def _parts(self, chosen: Tensor) -> list[Batch]:
        inputs = tuple(t[chosen] for t in self._data.inputs)
        present = draw_present(len(chosen), len(inputs), self._config.modality_dropout, self._drawing)
        present = self._data.presence(chosen, present)
        if self._augment is not None:
            inputs = self._augment(inputs, present, self._augmenting)
        return [
            (
                self._seen(tuple(t[rows] for t in inputs), present[rows]),
                tuple(t[chosen[rows]] for t in self._data.targets),
            )
            for rows in self._rows
        ]

    def _seen(self, inputs: tuple[Tensor, ...], present: Tensor) -> tuple[Tensor, ...]:
        return (*inputs, present) if self._config.dropped == "hidden" else mask_modalities(inputs, present)


def _share(part: int, ranks: Ranks, config: FitConfig) -> slice:
    """This rank's rows of a part of the batch: ranks share each part, so that parts are those of one process."""
    whole = Ranks(part, config.accumulate).rows(config.batch_size)
    own = ranks.rows(whole.stop - whole.start)
    return slice(whole.start + own.start, whole.start + own.stop)


def _check_sizes(data: SampleSet, config: FitConfig, ranks: Ranks) -> None:
    if data.split != "train":
        raise DataError(f"asked to train on the '{data.split}' split", "pass the train split")
    if len(data) < config.batch_size:
        raise DataError(f"{len(data)} samples fill no batch of {config.batch_size}", "add data or shrink the batch")
    if config.batch_size < 2 * ranks.world:
        raise ConfigError(
            f"a batch of {config.batch_size} gives {ranks.world} processes less than two rows each",
            "raise batch_size or start fewer processes",
        )
    if config.batch_size // ranks.world < 2 * config.accumulate:
        raise ConfigError(
            f"a batch of {config.batch_size} gives {config.accumulate} parts (accumulate) less than two rows each",
            "raise batch_size or lower accumulate",
        )
