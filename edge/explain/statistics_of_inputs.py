"""Simple statistics of a sample's inputs: brightness, level, length; what a failure can depend on without a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.runtime.model_io import (
    ImageInput,
    LidarViewInput,
    LogMelInput,
    PresentInput,
    SeriesInput,
    TensorInput,
    TokensInput,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.runtime.model_io import ModelIO, SensorInput

_LIDAR_DEPTH, _LIDAR_MASK = 0, 3  # channels of a lidar view
_ROWS = 256


def input_statistics(data: SampleSet, model_io: ModelIO) -> dict[str, NDArray[np.float64]]:
    """Statistics `[N]` by name (`image brightness`, `audio level`, ...); NaN where a sample lacks the modality.

    Pictures have brightness and contrast on the scale of 0..1; log-mels the mean of their cells (`level`) and its
    deviation (`variation`); lidar views the share of cells with a return and the mean depth code of those; tables
    each field, series the mean and deviation of each, in the units of the readings; texts their tokens.

    Args:
        data: A split.
        model_io: Says what each input is.
    """
    items = [item for item in model_io.inputs if not isinstance(item, PresentInput)]
    found: dict[str, list[Tensor]] = {}
    for rows in data.batch_rows(_ROWS):
        inputs, _ = data.rows(rows)
        for at, item in enumerate(items):
            lacking = None if data.available is None else data.available[rows][:, at] == 0
            for name, values in _statistics(item, inputs[at]):
                known = values.double() if lacking is None else values.double().masked_fill(lacking, float("nan"))
                found.setdefault(f"{item.stream} {name}", []).append(known)
    return {name: np.asarray(torch.cat(parts).numpy(), np.float64) for name, parts in found.items()}


def _statistics(item: SensorInput, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    if isinstance(item, ImageInput):
        pixels = x * _per_channel(item.std, x) + _per_channel(item.mean, x)
        yield "brightness", pixels.flatten(1).mean(1)
        yield "contrast", pixels.flatten(1).std(1)
    elif isinstance(item, LidarViewInput):
        returns = (x[:, _LIDAR_MASK] > 0).flatten(1).double()
        yield "returns", returns.mean(1)
        yield "depth", (x[:, _LIDAR_DEPTH].flatten(1) * returns).sum(1) / returns.sum(1).clamp(min=1)
    elif isinstance(item, LogMelInput):
        yield "level", x.flatten(1).mean(1)
        yield "variation", x.flatten(1).std(1)
    elif isinstance(item, TokensInput):
        yield "length", (x != 0).sum(1)
    elif isinstance(item, TensorInput):
        for name, values in zip(item.fields, (x * _row(item.std) + _row(item.mean)).T, strict=True):
            yield name, values
    elif isinstance(item, SeriesInput):
        readings = x * _row(item.std)[:, None] + _row(item.mean)[:, None]
        for at, name in enumerate(item.fields):
            yield f"{name} mean", readings[:, at].mean(1)
            yield f"{name} deviation", readings[:, at].std(1, correction=0)


def _per_channel(values: tuple[float, ...], x: Tensor) -> Tensor:
    """One value a channel; io.yaml may give one for all."""
    return torch.tensor(values, dtype=x.dtype)[: x.shape[1], None, None]


def _row(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)
