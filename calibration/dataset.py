"""The calibration set: model inputs of training samples, with a digest that names exactly these values."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CALIBRATION_SPLIT = "train"
_ARRAYS = "tensors.npz"
_MANIFEST = "manifest.json"
_NAMED = 3


class TensorRecord(BaseModel):
    """One input tensor: its dtype and the shape of one sample, without the batch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str
    shape: tuple[int, ...]


class CalibrationManifest(BaseModel):
    """What a calibration set holds.

    Attributes:
        ids: Samples, in order.
        splits: The split that each came from.
        tensors: By name, in the order of the model's inputs.
        digest: SHA-256 over all of the above and the values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    tensors: dict[str, TensorRecord]
    digest: str


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Inputs for INT8 scales; make it with `from_samples`.

    Attributes:
        ids: Samples, in order.
        splits: The split that each came from: `train`, or it would not be here.
        tensors: `[N, ...]` by name, in the order of the model's inputs.
        digest: SHA-256 over ids, splits, tensor names, dtypes, shapes and bytes.
    """

    ids: tuple[str, ...]
    splits: tuple[str, ...]
    tensors: dict[str, NDArray[np.generic]]
    digest: str

    @classmethod
    def from_samples(
        cls,
        ids: Sequence[str],
        splits: Sequence[str],
        tensors: Mapping[str, NDArray[np.generic]],
        reference: Mapping[str, TensorRecord] | None = None,
    ) -> CalibrationSet:
        """Checks the samples and fixes their digest.

        Args:
            ids: One per sample, unique.
            splits: The split of each sample.
            tensors: `[N, ...]` by name, in the order of the model's inputs.
            reference: Shape and dtype that each tensor must have, where they are known.

        Raises:
            DataError: There is no sample, one is not of the training split, stands twice, holds NaN or infinity,
                or has another shape or dtype than the reference.
        """
        ids, splits = tuple(ids), tuple(splits)
        _check_ids(ids, splits)
        arrays = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
        _check_tensors(ids, arrays, reference)
        return cls(ids, splits, arrays, _digest(ids, splits, arrays))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def manifest(self) -> CalibrationManifest:
        """The set without its values."""
        records = {name: _record(values) for name, values in self.tensors.items()}
        return CalibrationManifest(schema=1, ids=self.ids, splits=self.splits, tensors=records, digest=self.digest)

    def batches(self, size: int) -> Iterator[tuple[NDArray[np.generic], ...]]:
        """The tensors in order, `size` samples at a time."""
        for start in range(0, len(self), size):
            yield tuple(values[start : start + size] for values in self.tensors.values())

    def save(self, folder: Path) -> None:
        """Writes `manifest.json` and `tensors.npz`; the folder appears whole."""
        with atomic_folder(folder) as partial:
            np.savez(partial / _ARRAYS, **_numbered(self.tensors))
            text = json.dumps(self.manifest.model_dump(mode="json", by_alias=True), indent=1)
            (partial / _MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> CalibrationSet:
        """Reads what `save` wrote and checks it against its digest.

        Raises:
            DataError: A file is missing or damaged, or the values are not those of the digest.
        """
        manifest = _read_manifest(folder / _MANIFEST)
        arrays = _read_arrays(folder / _ARRAYS, list(manifest.tensors))
        loaded = cls.from_samples(manifest.ids, manifest.splits, arrays, manifest.tensors)
        if loaded.digest != manifest.digest:
            raise DataError(f"the calibration set {folder} does not match its digest", "restore it or collect it again")
        return loaded


def _check_ids(ids: tuple[str, ...], splits: tuple[str, ...]) -> None:
    if not ids:
        raise DataError("the calibration set is empty", "collect at least one training sample")
    if len(ids) != len(splits):
        raise DataError(f"{len(ids)} sample ids but {len(splits)} splits", "give one split per sample")
    leaks = [f"{i} ({s})" for i, s in zip(ids, splits, strict=True) if s != CALIBRATION_SPLIT]
    if leaks:
        raise DataError(
            f"{len(leaks)} calibration samples are not of the training split: {', '.join(leaks[:_NAMED])}",
            "calibrate on training samples only, or what is measured on the others is not honest",
        )
    twice = [i for i, n in Counter(ids).items() if n > 1]
    if twice:
        raise DataError(f"calibration samples stand twice: {', '.join(twice[:_NAMED])}", "pass each sample once")


def _check_tensors(
    ids: tuple[str, ...], tensors: dict[str, NDArray[np.generic]], reference: Mapping[str, TensorRecord] | None
) -> None:
    if not tensors:
        raise DataError("the calibration set has no tensors", "pass one array per model input")
    if reference is not None and set(reference) != set(tensors):
        raise DataError(f"tensors {sorted(tensors)} instead of {sorted(reference)}", "pass the model's inputs")
    for name, values in tensors.items():
        if values.ndim < 1 or len(values) != len(ids):
            raise DataError(
                f"tensor '{name}' has shape {values.shape} for {len(ids)} samples", "stack one row per sample"
            )
        if reference is not None and _record(values) != reference[name]:
            wanted, found = reference[name], _record(values)
            raise DataError(
                f"a sample of '{name}' is {found.dtype} {found.shape} instead of {wanted.dtype} {wanted.shape}",
                "prepare the samples with the model's io.yaml",
            )
        _check_finite(ids, name, values)


def _check_finite(ids: tuple[str, ...], name: str, values: NDArray[np.generic]) -> None:
    if values.dtype.kind not in "fiub":
        raise DataError(f"tensor '{name}' has dtype {values.dtype}", "pass numbers")
    if values.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(ids), -1)).all(axis=1))
        if bad.size:
            raise DataError(
                f"sample '{ids[int(bad[0])]}' has NaN or infinity in tensor '{name}' ({bad.size} samples do)",
                "leave such samples out, as the runtime does",
            )


def _digest(ids: tuple[str, ...], splits: tuple[str, ...], tensors: Mapping[str, NDArray[np.generic]]) -> str:
    head = {
        "ids": ids,
        "splits": splits,
        "tensors": [[n, v.dtype.newbyteorder("<").str, v.shape] for n, v in tensors.items()],
    }
    digest = hashlib.sha256(json.dumps(head, ensure_ascii=True, separators=(",", ":")).encode())
    for values in tensors.values():
        digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def _record(values: NDArray[np.generic]) -> TensorRecord:
    return TensorRecord(dtype=str(values.dtype), shape=tuple(values.shape[1:]))


def _numbered(tensors: Mapping[str, NDArray[np.generic]]) -> dict[str, Any]:
    return {f"t{index}": values for index, values in enumerate(tensors.values())}


def _read_manifest(path: Path) -> CalibrationManifest:
    try:
        return CalibrationManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})", "pass a calibration set's folder") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no calibration manifest", "collect the calibration set again") from error


def _read_arrays(path: Path, names: list[str]) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[f"t{index}"] for index, name in enumerate(names)}
    except Exception as error:  # a damaged archive raises zipfile, zlib, value and key errors alike
        raise DataError(f"cannot read {path} ({error})", "collect the calibration set again") from error
