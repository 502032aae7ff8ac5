"""Dataset folders: what was written comes back, and files that do not match the manifest are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.data.dataset_folder import (
    MANIFEST,
    DatasetManifest,
    Split,
    SplitSpec,
    TensorSpec,
    create_arrays,
    load_split,
    modality_specs,
    open_arrays,
    read_manifest,
)
from edge.runtime.errors import DataError
from edge.runtime.model_io import ModelIO

INPUT = TensorSpec(name="camera", dtype="float32", shape=(1, 2, 3))
TARGET = TensorSpec(name="target", dtype="int64", shape=())


def manifest(
    ids: dict[Split, tuple[str, ...]], recordings: dict[Split, tuple[str, ...]] | None = None
) -> DatasetManifest:
    splits = {split: SplitSpec(ids=names, recordings=(recordings or ids)[split]) for split, names in ids.items()}
    return DatasetManifest(
        schema=1, name="numbers", provenance={"seed": 3}, inputs=(INPUT,), targets=(TARGET,), splits=splits
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four training samples and two of validation; sample i holds i."""
    ids: dict[Split, tuple[str, ...]] = {"train": ("a", "b", "c", "d"), "validation": ("e", "f")}
    for arrays in create_arrays(tmp_path, manifest(ids)).values():
        for array in arrays.values():
            array[:] = np.arange(len(array)).reshape(-1, *[1] * (array.ndim - 1))
            array.flush()
    return tmp_path


def test_what_was_written_comes_back(folder: Path) -> None:
    samples = load_split(folder, "train")
    assert samples.split == "train"
    assert samples.ids == ("a", "b", "c", "d")
    assert samples.inputs[0].shape == (4, 1, 2, 3)
    assert samples.inputs[0][:, 0, 1, 2].tolist() == [0, 1, 2, 3]
    assert samples.targets[0].tolist() == [0, 1, 2, 3]
    assert read_manifest(folder).provenance == {"seed": 3}


def test_changing_a_loaded_sample_leaves_the_file_alone(folder: Path) -> None:
    load_split(folder, "train").inputs[0].fill_(9.0)
    assert load_split(folder, "train").inputs[0][0, 0, 0, 0] == 0


def test_a_folder_without_manifest_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dataset.*dataset\.json"):
        load_split(tmp_path, "train")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="no dataset"):
        load_split(tmp_path / "file", "train")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 2}', "\xff"])
def test_a_malformed_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="malformed"):
        read_manifest(folder)


def test_unknown_keys_are_refused(folder: Path) -> None:
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(content | {"extra": 1}), encoding="utf-8")
    with pytest.raises(DataError, match="malformed"):
        read_manifest(folder)


def test_a_missing_split_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match="no 'test' split"):
        load_split(folder, "test")


@pytest.mark.parametrize("kept", [0, 40, -4])
def test_a_truncated_array_is_refused(folder: Path, kept: int) -> None:
    path = folder / "train.camera.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"train\.camera\.npy cannot be read"):
        load_split(folder, "train")


def test_a_missing_array_is_refused(folder: Path) -> None:
    (folder / "train.target.npy").unlink()
    with pytest.raises(DataError, match=r"train\.target\.npy cannot be read"):
        load_split(folder, "train")


@pytest.mark.parametrize(
    "array", [np.zeros((3, 1, 2, 3), np.float32), np.zeros((4, 1, 2, 4), np.float32), np.zeros((4, 1, 2, 3))]
)
def test_an_array_that_differs_from_the_manifest_is_refused(folder: Path, array: np.ndarray) -> None:
    np.save(folder / "train.camera.npy", array)
    with pytest.raises(DataError, match="the manifest says float32"):
        load_split(folder, "train")


def test_objects_are_never_unpickled(folder: Path) -> None:
    np.save(folder / "train.camera.npy", np.array([{}] * 4, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        load_split(folder, "train")


@pytest.mark.parametrize("ids", [{"train": ("a", "b"), "test": ("b",)}, {"train": ("a", "a"), "test": ("b",)}])
def test_a_sample_stands_in_one_place_only(tmp_path: Path, ids: dict[Split, tuple[str, ...]]) -> None:
    create_arrays(tmp_path, manifest(ids))
    with pytest.raises(DataError, match="stands twice"):
        read_manifest(tmp_path)


def test_a_recording_that_is_in_two_splits_is_refused(tmp_path: Path) -> None:
    ids: dict[Split, tuple[str, ...]] = {"train": ("a", "b"), "test": ("c",)}
    create_arrays(tmp_path, manifest(ids, {"train": ("drive-1", "drive-2"), "test": ("drive-2",)}))
    with pytest.raises(DataError, match="recording 'drive-2' is in 'train' and in 'test'"):
        read_manifest(tmp_path)


def test_ids_and_recordings_of_differing_number_are_refused(tmp_path: Path) -> None:
    create_arrays(tmp_path, manifest({"train": ("a", "b")}, {"train": ("drive-1",)}))
    with pytest.raises(DataError, match="differ in length"):
        load_split(tmp_path, "train")


def test_what_samples_lack_comes_back(tmp_path: Path) -> None:
    ids: dict[Split, tuple[str, ...]] = {"train": ("a", "b", "c")}
    told = manifest(ids).model_copy(update={"available": ("camera", "audio")})
    arrays = create_arrays(tmp_path, told)["train"]
    arrays["available"][:] = [[1, 0], [1, 1], [0, 1]]
    arrays["available"].flush()
    open_arrays(tmp_path, told, "train")["target"][2] = 7
    found = load_split(tmp_path, "train")
    assert found.available is not None
    assert found.available.tolist() == [[1, 0], [1, 1], [0, 1]]
    assert found.targets[0].tolist() == [0, 0, 7]
    (tmp_path / "train.available.npy").unlink()
    with pytest.raises(DataError, match=r"train\.available\.npy cannot be read"):
        load_split(tmp_path, "train")


def test_a_folder_without_that_array_lacks_nothing(folder: Path) -> None:
    assert load_split(folder, "train").available is None


def test_text_is_stored_as_integers() -> None:
    tokens = {
        "feature": "tokens",
        "tensor": "ids",
        "stream": "text",
        "shape": [1, 8],
        "tokenizer": "t",
        "vocabulary": 9,
    }
    image = {"feature": "image", "tensor": "picture", "stream": "camera", "shape": [1, 3, 4, 6]}
    present = {"feature": "present", "streams": ["text", "camera"]}
    io = ModelIO.model_validate({"schema": 1, "inputs": [tokens, image, present], "outputs": []})
    assert modality_specs(io) == (
        TensorSpec(name="ids", dtype="int64", shape=(8,)),
        TensorSpec(name="picture", dtype="float32", shape=(3, 4, 6)),
    )
