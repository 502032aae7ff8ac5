from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibration.dataset import CalibrationSet, TensorRecord
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def arrays(count: int = 4) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(0)
    return {
        "camera": generator.normal(size=(count, 3, 4, 5)).astype(np.float32),
        "lidar": generator.normal(size=(count, 4, 4, 5)).astype(np.float32),
        "present": np.ones((count, 2), np.float32),
    }


def ids(count: int = 4) -> list[str]:
    return [f"drive/{i:03d}" for i in range(count)]


def make(count: int = 4, **changes: NDArray[Any]) -> CalibrationSet:
    return CalibrationSet.from_samples(ids(count), ["train"] * count, {**arrays(count), **changes})


@pytest.mark.parametrize("split", ["validation", "test", "Train", ""])
def test_samples_of_other_splits_are_refused_by_name(split: str) -> None:
    splits = ["train", split, "train", split]
    with pytest.raises(DataError, match=r"2 calibration samples.*drive/001.*drive/003"):
        CalibrationSet.from_samples(ids(), splits, arrays())


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        CalibrationSet.from_samples([], [], {"camera": np.zeros((0, 3), np.float32)})


def test_a_sample_that_stands_twice_is_refused() -> None:
    with pytest.raises(DataError, match="twice: a"):
        CalibrationSet.from_samples(["a", "b", "a"], ["train"] * 3, {"x": np.zeros((3, 1), np.float32)})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_sample_and_tensor(bad: float) -> None:
    lidar = arrays()["lidar"]
    lidar[2, 1, 0, 3] = bad
    with pytest.raises(DataError, match=r"drive/002.*'lidar'"):
        make(lidar=lidar)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lidar": np.zeros((3, 4, 4, 5), np.float32)}, "'lidar' has shape"),
        ({"lidar": np.zeros((4, 4, 4, 5), np.float64)}, "float64"),
        ({"lidar": np.zeros((4, 3, 4, 5), np.float32)}, r"\(3, 4, 5\) instead of float32 \(4, 4, 5\)"),
        ({"lidar": np.full((4, 4, 4, 5), "x")}, "'lidar'"),
    ],
)
def test_shapes_and_types_are_held_against_the_reference(changes: dict[str, NDArray[Any]], message: str) -> None:
    reference = {n: TensorRecord(dtype="float32", shape=v.shape[1:]) for n, v in arrays().items()}
    with pytest.raises(DataError, match=message):
        CalibrationSet.from_samples(ids(), ["train"] * 4, {**arrays(), **changes}, reference)


def test_a_tensor_too_many_is_refused() -> None:
    reference = {"camera": TensorRecord(dtype="float32", shape=(3, 4, 5))}
    with pytest.raises(DataError, match="lidar"):
        CalibrationSet.from_samples(ids(), ["train"] * 4, arrays(), reference)


@given(st.integers(0, 4 * 3 * 4 * 5 * 4 - 1), st.integers(0, 6))
def test_one_changed_bit_changes_the_digest(byte: int, bit: int) -> None:
    camera = arrays()["camera"]
    raw = bytearray(camera.tobytes())
    raw[byte] ^= 1 << bit
    changed = np.frombuffer(bytes(raw), np.float32).reshape(camera.shape)
    if np.isfinite(changed).all():
        assert make(camera=changed).digest != make().digest


def test_the_digest_sees_ids_names_order_and_types() -> None:
    values = np.zeros((2, 3), np.float32)
    base = CalibrationSet.from_samples(["a", "b"], ["train"] * 2, {"x": values, "y": values}).digest
    variants = [
        CalibrationSet.from_samples(["a", "c"], ["train"] * 2, {"x": values, "y": values}),
        CalibrationSet.from_samples(["b", "a"], ["train"] * 2, {"x": values, "y": values}),
        CalibrationSet.from_samples(["a", "b"], ["train"] * 2, {"y": values, "x": values}),
        CalibrationSet.from_samples(["a", "b"], ["train"] * 2, {"x": values, "y": values.astype(np.int32)}),
        CalibrationSet.from_samples(["a", "b"], ["train"] * 2, {"x": values, "y": values.reshape(2, 3, 1)}),
    ]
    assert base not in {v.digest for v in variants}
    assert len({v.digest for v in variants}) == len(variants)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    saved = make()
    saved.save(tmp_path / "set")
    loaded = CalibrationSet.load(tmp_path / "set")
    assert loaded.manifest == saved.manifest
    assert list(loaded.tensors) == list(saved.tensors)
    assert all(np.array_equal(loaded.tensors[n], v) for n, v in saved.tensors.items())


def test_altered_values_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make().save(folder)
    other = arrays()
    other["camera"][0, 0, 0, 0] += 1
    stored: dict[str, Any] = {f"t{i}": v for i, v in enumerate(other.values())}
    np.savez(folder / "tensors.npz", **stored)
    with pytest.raises(DataError, match="digest"):
        CalibrationSet.load(folder)


def test_an_altered_manifest_cannot_bring_in_another_split(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make().save(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"][0] = "test"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="drive/000"):
        CalibrationSet.load(folder)


@pytest.mark.parametrize("name", ["manifest.json", "tensors.npz"])
def test_damaged_and_missing_files_are_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "set"
    make().save(folder)
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        CalibrationSet.load(folder)
    path.unlink()
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        CalibrationSet.load(folder)


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    make().save(folder)
    np.savez(folder / "tensors.npz", t0=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(DataError, match="tensors"):
        CalibrationSet.load(folder)


def test_batches_cover_every_sample_once() -> None:
    calibration = make(5)
    batches = list(calibration.batches(2))
    assert [len(b[0]) for b in batches] == [2, 2, 1]
    assert np.array_equal(np.concatenate([b[1] for b in batches]), calibration.tensors["lidar"])
