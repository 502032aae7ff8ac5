"""A dataset on disk: one `.npy` per tensor and split, and a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.compress.samples import SampleSet
from edge.runtime.errors import DataError
from edge.runtime.model_io import PresentInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.runtime.model_io import ModelIO

MANIFEST = "dataset.json"
AVAILABLE = "available"  # name of the array that tells what each sample has
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class TensorSpec(BaseModel):
    """Name, dtype and per-sample shape of an input or target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dtype: Literal["float32", "int64"]
    shape: tuple[int, ...]


class SplitSpec(BaseModel):
    """Who is in a split.

    Attributes:
        ids: Unique over the dataset.
        recordings: What each sample was cut from (drive, patient, speaker's recording).
        attributes: Named properties of the samples, one value each (speaker, sex, machine): reports slice by them, and
            no model reads them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: tuple[str, ...]
    recordings: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]] = {}


class DatasetManifest(BaseModel):
    """`dataset.json`.

    Attributes:
        provenance: Where the samples came from, in words and settings; a changed one means another dataset.
        available: Streams that samples may lack, in the order of the columns of the array of that name; empty where
            every sample has everything, and there is no such array.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    provenance: dict[str, object]
    inputs: tuple[TensorSpec, ...]
    targets: tuple[TensorSpec, ...]
    splits: dict[Split, SplitSpec]
    available: tuple[str, ...] = ()

    @property
    def arrays(self) -> tuple[TensorSpec, ...]:
        """Every array of a split: inputs, targets, and what the samples have."""
        has = TensorSpec(name=AVAILABLE, dtype="float32", shape=(len(self.available),))
        return (*self.inputs, *self.targets, *((has,) if self.available else ()))


def modality_specs(model_io: ModelIO) -> tuple[TensorSpec, ...]:
    """The tensors that a dataset holds for a model: all of its inputs but `present`."""
    sensed = (item for item in model_io.inputs if not isinstance(item, PresentInput))
    return tuple(TensorSpec(name=item.tensor, dtype=item.dtype, shape=tuple(item.shape[1:])) for item in sensed)


def array_path(folder: Path, split: str, spec: TensorSpec) -> Path:
    """Where a tensor of a split lies."""
    return folder / f"{split}.{spec.name}.npy"


def create_arrays(folder: Path, manifest: DatasetManifest) -> dict[str, dict[str, np.memmap]]:
    """Writes the manifest and empty arrays; returns them writable, by split and tensor name."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    return {
        split: {
            spec.name: np.lib.format.open_memmap(
                array_path(folder, split, spec),
                mode="w+",
                dtype=np.dtype(spec.dtype),
                shape=(len(members.ids), *spec.shape),
            )
            for spec in manifest.arrays
        }
        for split, members in manifest.splits.items()
    }


def open_arrays(folder: Path, manifest: DatasetManifest, split: str) -> dict[str, np.memmap]:
    """The arrays of a split by name, to be written by one of several processes."""
    paths = {spec.name: array_path(folder, split, spec) for spec in manifest.arrays}
    return {name: np.load(path, mmap_mode="r+", allow_pickle=False) for name, path in paths.items()}


def read_manifest(folder: Path) -> DatasetManifest:
    """Reads `dataset.json`.

    Raises:
        DataError: It is missing or malformed, or a sample or a recording is in two splits.
    """
    path = folder / MANIFEST
    try:
        manifest = DatasetManifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{folder} is no dataset: it has no {MANIFEST}", "prepare the dataset first") from error
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path} is malformed ({str(error).splitlines()[0]})", "prepare it again") from error
    _refuse_repeated_samples(path, manifest)
    _refuse_shared_recordings(path, manifest)
    return manifest


def load_split(folder: Path, split: Split) -> SampleSet:
    """A split as tensors, mapped from disk and read on use.

    Raises:
        DataError: The split or one of its arrays is missing, truncated or of another shape than said.
    """
    manifest = read_manifest(folder)
    if split not in manifest.splits:
        raise DataError(f"{folder} has no '{split}' split (it has {sorted(manifest.splits)})", "prepare it again")
    members = manifest.splits[split]

    def load(specs: Sequence[TensorSpec]) -> tuple[torch.Tensor, ...]:
        return tuple(_load_array(array_path(folder, split, s), s, len(members.ids)) for s in specs)

    *_, has = manifest.arrays
    return SampleSet(
        split,
        members.ids,
        members.recordings,
        load(manifest.inputs),
        load(manifest.targets),
        load([has])[0] if manifest.available else None,
        members.attributes,
    )


def _load_array(path: Path, spec: TensorSpec, count: int) -> torch.Tensor:
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error})", "prepare the dataset again") from error
    if array.shape != (count, *spec.shape) or array.dtype != np.dtype(spec.dtype):
        raise DataError(
            f"{path} holds {array.dtype} {array.shape}, the manifest says {spec.dtype} {(count, *spec.shape)}",
            "prepare the dataset again",
        )
    return torch.from_numpy(array)


def _refuse_repeated_samples(path: Path, manifest: DatasetManifest) -> None:
    ids = [i for members in manifest.splits.values() for i in members.ids]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise DataError(f"{path}: sample '{twice}' stands twice", "give each sample to exactly one split")


def _refuse_shared_recordings(path: Path, manifest: DatasetManifest) -> None:
    owner: dict[str, str] = {}
    for split, members in manifest.splits.items():
        for recording in set(members.recordings):
            if owner.setdefault(recording, split) != split:
                raise DataError(
                    f"{path}: recording '{recording}' is in '{owner[recording]}' and in '{split}'",
                    "give all samples of a recording to one split",
                )
