"""Readings of tables and slow sensors as tensors: one of them, or the last ones as a series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.errors import SampleError
from edge.runtime.preprocess.payload_kinds import expect_payload
from edge.runtime.sample import Reading, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.model_io import SeriesInput, TensorInput
    from edge.runtime.sample import Payload


class ReadingFeature:
    """One reading, float32 `[fields]`; of a series the last one, where another input reads the stream as such."""

    def __init__(self, item: TensorInput) -> None:
        self._columns = _Columns(item.fields, item.mean, item.std)

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        """Picks the fields, and normalises them.

        Raises:
            SampleError: The payload is no reading, lacks a field, or holds what is no number.
        """
        if isinstance(payload, Series):
            out[:] = self._columns.of(payload.values[-1:], payload.fields)[0]
            return
        reading = expect_payload(payload, Reading)
        out[:] = self._columns.of(reading.values[None], reading.fields)[0]


class SeriesFeature:
    """The last `steps` readings, float32 `[fields, steps]`, oldest first; of more than those the end is used."""

    def __init__(self, item: SeriesInput) -> None:
        self._columns = _Columns(item.fields, item.mean, item.std)
        self._steps = item.steps

    def write(self, payload: Payload, out: NDArray[np.float32]) -> None:
        """Picks the fields of the last readings, and normalises them.

        Raises:
            SampleError: The payload is no series, is too short, lacks a field, or holds what is no number.
        """
        series = expect_payload(payload, Series)
        if series.values.ndim != 2 or len(series.values) < self._steps:
            raise SampleError(
                f"the series is {list(series.values.shape)}, but the model needs {self._steps} readings of "
                f"{len(self._columns.fields)} fields",
                "keep more readings before the anchor's stamp",
            )
        out[:] = self._columns.of(series.values[-self._steps :], series.fields).T


class _Columns:
    def __init__(self, fields: tuple[str, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.fields = fields
        self._mean = np.asarray(mean[: len(fields)], np.float32)
        self._std = np.asarray(std[: len(fields)], np.float32)

    def of(self, values: NDArray[np.float32], given: tuple[str, ...]) -> NDArray[np.float32]:
        """Float32 `[n, fields]` of `[n, given]`."""
        absent = [name for name in self.fields if name not in given]
        if absent:
            raise SampleError(f"the reading lacks {', '.join(absent)}", f"give the fields {list(self.fields)}")
        if values.shape != (max(1, len(values)), len(given)):
            raise SampleError(
                f"the values are {list(values.shape)}, and {len(given)} fields are named", "mend the source"
            )
        chosen = np.asarray(values[:, [given.index(name) for name in self.fields]], np.float32)
        if not np.isfinite(chosen).all():
            raise SampleError("the reading holds values that are not finite", "drop it or mend the source")
        return np.asarray((chosen - self._mean) / self._std, np.float32)
