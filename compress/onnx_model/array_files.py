"""Calibration samples from `.npz` and `.npy` files, one array per model input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.calibration.dataset import CALIBRATION_SPLIT, CalibrationSet
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

_FORMS = (
    "a folder of `CalibrationSet.save`, an .npz with one array [N, ...] per input, or a folder of .npz or .npy files"
)
_MANIFEST = "manifest.json"


def read_samples(path: Path) -> CalibrationSet:
    """Reads the samples at a path.

    - A folder that `CalibrationSet.save` wrote.
    - An `.npz` with one array `[N, ...]` per input, N samples in each.
    - A folder of such `.npz` files, which are joined in the order of their names.
    - A folder of `.npy` files, one per input and of its name: `[N, ...]`.

    Array files do not say which split they are of: what is passed is taken for training data.

    Raises:
        DataError: There is nothing at the path, or no sample in it; files are damaged or differ in names, dtypes or
            shapes; a sample holds NaN or infinity. The message names the file or the sample.
    """
    if (path / _MANIFEST).is_file():
        return CalibrationSet.load(path)
    if not path.exists():
        raise DataError(f"there is no {path}", f"pass {_FORMS}")
    arrays, ids = _read_folder(path) if path.is_dir() else _read_file(path)
    return _as_set(arrays, ids, path)


def _as_set(arrays: Mapping[str, NDArray[Any]], ids: tuple[str, ...], path: Path) -> CalibrationSet:
    if not arrays or not ids:
        raise DataError(f"{path} holds no calibration samples", f"pass {_FORMS}")
    return CalibrationSet.from_samples(ids, [CALIBRATION_SPLIT] * len(ids), arrays)


def _read_file(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    if path.suffix != ".npz":
        raise DataError(f"{path} is no .npz file", f"pass {_FORMS}")
    arrays = _load_npz(path)
    return arrays, tuple(f"{path.name}[{i}]" for i in range(_rows(arrays, path)))


def _read_folder(folder: Path) -> tuple[Arrays, tuple[str, ...]]:
    archives, single = sorted(folder.glob("*.npz")), sorted(folder.glob("*.npy"))
    if archives and single:
        raise DataError(f"{folder} holds .npz and .npy files", "keep one kind, so that it is clear what a sample is")
    if single:
        arrays = {path.stem: _load_npy(path) for path in single}
        return arrays, tuple(f"{folder.name}[{i}]" for i in range(_rows(arrays, folder)))
    parts = [_read_file(path) for path in archives]
    if not parts:
        return {}, ()
    first = parts[0][0]
    for path, (arrays, _) in zip(archives, parts, strict=True):
        _check_alike(arrays, first, path, archives[0])
    joined = {name: np.concatenate([arrays[name] for arrays, _ in parts]) for name in first}
    return joined, tuple(name for _, ids in parts for name in ids)


def _rows(arrays: Arrays, path: Path) -> int:
    """How many samples there are: what all arrays must agree on."""
    counts = {name: len(values) if values.ndim else 0 for name, values in arrays.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} of '{name}'" for name, count in counts.items())
        raise DataError(f"{path} has {said}", "save as many rows of each input as there are samples")
    return next(iter(counts.values()), 0)


def _check_alike(arrays: Arrays, first: Arrays, path: Path, reference: Path) -> None:
    for name in {**first, **arrays}:
        if name not in arrays or name not in first:
            where, other = (path, reference) if name not in arrays else (reference, path)
            raise DataError(f"{where} has no array '{name}', {other} has", "save the same arrays in every file")
        found, wanted = arrays[name], first[name]
        if (found.dtype, found.shape[1:]) != (wanted.dtype, wanted.shape[1:]):
            raise DataError(
                f"samples of '{name}' in {path} are {found.dtype} {found.shape[1:]}, in {reference} {wanted.dtype} "
                f"{wanted.shape[1:]}",
                "give all samples one shape: the deployed graph has fixed sizes, so crop or pad to them",
            )


def _load_npz(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged archive raises zipfile, zlib, value and key errors alike
        raise DataError(f"cannot read {path} ({error})", "save it again with numpy.savez") from error


def _load_npy(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read {path} ({error})", "save it again with numpy.save") from error
