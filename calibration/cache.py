"""Found ranges on disk, under digests of the model, the data and the method: what is of another of them is refused."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.calibration.observers import BINS, Observer
from edge.calibration.tensor_range import TensorRange
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MANIFEST = "ranges.json"
ARRAYS = "ranges.npz"
_SHOWN = 8  # digits of a digest in a message
_AGAIN = "find the ranges again (edge calibrate --fresh)"


class RangeMethod(BaseModel):
    """How ranges become scales, and which tensors have one.

    Attributes:
        observer: How a range becomes a ceiling.
        percentile: For `percentile`.
        keep_float: Globs on layers that stay float.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    observer: Observer
    percentile: float
    keep_float: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the record."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class RangeKey(BaseModel):
    """What ranges depend on, each as a SHA-256.

    Attributes:
        model: Of graph and weights.
        data: Of the calibration set.
        method: Of the `RangeMethod`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    data: str
    method: str

    def differences(self, other: RangeKey) -> list[str]:
        """What differs, in words."""
        names = {"model": "another model", "data": "another calibration set", "method": "another method"}
        return [
            f"{words} ({getattr(self, key)[:_SHOWN]}, now {getattr(other, key)[:_SHOWN]})"
            for key, words in names.items()
            if getattr(self, key) != getattr(other, key)
        ]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    key: RangeKey
    tensors: tuple[str, ...]
    arrays_sha256: str


def save_ranges(folder: Path, key: RangeKey, ranges: Mapping[str, TensorRange]) -> None:
    """Writes `ranges.json` and `ranges.npz`; the folder appears whole."""
    arrays: dict[str, Any] = {"largest": np.array([r.histogram.largest for r in ranges.values()], np.float64)}
    for index, found in enumerate(ranges.values()):
        bins = np.flatnonzero(found.histogram.counts)
        places = np.array(sorted(found.peaks), np.int64)
        arrays |= {f"bins{index}": bins, f"counts{index}": found.histogram.counts[bins]}
        arrays |= {f"places{index}": places, f"peaks{index}": found.sample_peaks()}
    with atomic_folder(folder) as partial:
        np.savez_compressed(partial / ARRAYS, **arrays)
        sha256 = hashlib.sha256((partial / ARRAYS).read_bytes()).hexdigest()
        manifest = _Manifest(schema=1, key=key, tensors=tuple(ranges), arrays_sha256=sha256)
        text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=1)
        (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")


def load_ranges(folder: Path, key: RangeKey) -> dict[str, TensorRange]:
    """Reads what `save_ranges` wrote, if it is of exactly this model, data and method.

    Raises:
        DataError: It is of others, and the message says which of the three differ; or a file is missing or damaged.
    """
    manifest = _read_manifest(folder / MANIFEST)
    different = manifest.key.differences(key)
    if different:
        raise DataError(f"the ranges in {folder} are stale: they are of {' and of '.join(different)}", _AGAIN)
    arrays = _read_arrays(folder / ARRAYS, manifest.arrays_sha256)
    try:
        return {name: _range(arrays, index) for index, name in enumerate(manifest.tensors)}
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{folder / ARRAYS} does not hold what {MANIFEST} says ({error})", _AGAIN) from error


def _read_manifest(path: Path) -> _Manifest:
    try:
        return _Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})", _AGAIN) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged, or of another version", _AGAIN) from error


def _read_arrays(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise DataError(f"{path} is damaged: it does not match its digest in {MANIFEST}", _AGAIN)
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except DataError:
        raise
    except Exception as error:  # a damaged archive raises zipfile, zlib, value and key errors alike
        raise DataError(f"cannot read {path} ({error})", _AGAIN) from error


def _range(arrays: Mapping[str, NDArray[Any]], index: int) -> TensorRange:
    found = TensorRange()
    counts = np.zeros(BINS, np.int64)
    counts[arrays[f"bins{index}"]] = arrays[f"counts{index}"]
    found.histogram.add_counts(counts, float(arrays["largest"][index]))
    places, peaks = arrays[f"places{index}"].tolist(), arrays[f"peaks{index}"].tolist()
    found.peaks = dict(zip(places, peaks, strict=True))
    return found
