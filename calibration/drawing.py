"""Draws a calibration set from a training split: modality states for every sample, then which samples, then masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge.calibration.dataset import CalibrationSet
from edge.calibration.range_selection import choose_by_ranges
from edge.calibration.selection import Selection, choose_at_random, mix_states
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.calibration.cache import RangeMethod
    from edge.calibration.dataset import TensorRecord
    from edge.calibration.sample_tails import SampleRanges


class DrawConfig(BaseModel):
    """How a calibration set is drawn.

    Attributes:
        samples: How many.
        selection: `random`, or `ranges`: such that their scales are those of the whole split, which takes one pass of
            the model over it.
        complete: Share of samples with every modality; the rest lose some, so that placeholders are seen as well.
        seed: Of states and choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: int = Field(256, ge=1)
    selection: Selection = "random"
    complete: float = Field(0.7, ge=0, le=1)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SampleSource:
    """A split to draw from.

    Attributes:
        split: Its name.
        ids: One per sample.
        modalities: `[N, ...]` of each modality, in the order of the model's inputs.
        present: The input float32 `[N, modalities]`, last, that tells the model what is there; None where it has none.
        reference: Shape and dtype that the model wants of each tensor, where they are known.
        available: float32 `[N, modalities]` of 0 and 1: what a sample has at all; None where every one has everything.
    """

    split: str
    ids: Sequence[str]
    modalities: Mapping[str, NDArray[np.generic]]
    present: str | None = "present"
    reference: Mapping[str, TensorRecord] | None = None
    available: NDArray[np.float32] | None = None

    def states(self, complete: float, seed: int) -> NDArray[np.float32]:
        """What each sample is drawn with, float32 `[N, modalities]`: `mix_states`, less what it does not have.

        Where that would leave nothing, a sample is drawn with all that it has.
        """
        mixed = mix_states(len(self.ids), list(self.modalities), complete, seed)
        if self.available is None:
            return mixed
        kept = mixed * self.available
        return np.where(kept.any(axis=1, keepdims=True), kept, self.available).astype(np.float32)

    def tensors(self, chosen: NDArray[np.int64], rows: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Model inputs of the chosen samples, with zeros in place of what `rows` (of all samples) says is missing."""
        kept = rows[chosen]
        found: dict[str, NDArray[np.generic]] = {}
        for column, (name, values) in enumerate(self.modalities.items()):
            found[name] = np.array(values[chosen])
            found[name][kept[:, column] == 0] = 0
        return found if self.present is None else {**found, self.present: kept}


Batches = Iterator[tuple["NDArray[np.generic]", ...]]
# Runs a model over batches of so many samples in all; returns each tensor's ranges, and how scales will be found.
MeasureRanges = Callable[[Batches, int], "tuple[Sequence[SampleRanges], RangeMethod]"]


def draw_set(
    source: SampleSource, config: DrawConfig, measure: MeasureRanges | None = None, batch: int = 16
) -> CalibrationSet:
    """Draws without replacement; the same set for the same source and config.

    Args:
        source: The training split.
        config: How many, and how.
        measure: Runs the model; needed by the selection `ranges` only.
        batch: Samples that `measure` gets at a time.

    Raises:
        ConfigError: More samples are asked for than there are, or the selection needs a model.
        DataError: The split is not the training split, or a tensor is not what the model wants.
    """
    count = len(source.ids)
    if config.samples > count:
        raise ConfigError(
            f"{config.samples} calibration samples are asked for, the {source.split} split has {count}",
            "lower `samples` or add data",
        )
    rows = source.states(config.complete, config.seed)
    strata = _codes(rows)
    if config.selection == "random":
        chosen = choose_at_random(strata, config.samples, config.seed)
    else:
        chosen = _by_ranges(source, config, rows, measure, batch)
    ids = [source.ids[i] for i in chosen]
    return CalibrationSet.from_samples(ids, [source.split] * len(ids), source.tensors(chosen, rows), source.reference)


def whole_split(source: SampleSource, config: DrawConfig, batch: int = 16) -> Batches:
    """Every sample in the state that it would be drawn in: what a chosen set is held against."""
    rows = source.states(config.complete, config.seed)
    return _batches(source, rows, batch)


def _by_ranges(
    source: SampleSource,
    config: DrawConfig,
    rows: NDArray[np.float32],
    measure: MeasureRanges | None,
    batch: int,
) -> NDArray[np.int64]:
    # Of what every sample has alike, one tells, before a model runs on all of them.
    first = source.tensors(np.zeros(1, np.int64), rows)
    CalibrationSet.from_samples(source.ids[:1], [source.split], first, source.reference)
    if measure is None:
        raise ConfigError("the selection `ranges` needs a model to find ranges with", "use `selection: random`")
    ranges, method = measure(_batches(source, rows, batch), len(rows))
    return choose_by_ranges(ranges, _codes(rows), config.samples, method, config.seed)


def _batches(source: SampleSource, rows: NDArray[np.float32], size: int) -> Batches:
    for start in range(0, len(rows), size):
        chosen = np.arange(start, min(start + size, len(rows)))
        yield tuple(source.tensors(chosen, rows).values())


def _codes(rows: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each modality state, `[N]`."""
    return np.asarray(rows.astype(np.int64) @ (1 << np.arange(rows.shape[1])))
