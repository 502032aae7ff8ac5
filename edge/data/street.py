"""Draws a street dataset: simulated payloads through the runtime's own preprocessing, in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.data.dataset_folder import (
    MANIFEST,
    SPLITS,
    DatasetManifest,
    Split,
    SplitSpec,
    TensorSpec,
    array_path,
    create_arrays,
    read_manifest,
)
from edge.data.parallel import run_in_processes
from edge.models.fusion_model import grid_of
from edge.project import FolderData, Project, StreetData
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import LogMelInput, ModelIO, PresentInput
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.rig import Rig, load_rig
from edge.runtime.simulate.example import draw_example
from edge.runtime.simulate.rig import street_rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPLIT_STRIDE = 10_000_000  # seeds per split: no street is ever in two


def project_rig(project: Project) -> Rig:
    """The sensors that the project's samples are taken with."""
    return load_rig(project.data.rig) if isinstance(project.data, FolderData) else street_rig()


def prepare_dataset(project: Project, folder: Path, on_samples: Callable[[int], None] = lambda _n: None) -> Path:
    """The project's dataset: a prepared folder as it is, a street dataset drawn into `folder`.

    A folder that already holds exactly this dataset is used again.

    Args:
        project: Says what data.
        folder: Where a drawn dataset goes.
        on_samples: Called with the number of samples just drawn.
    """
    if isinstance(project.data, FolderData):
        read_manifest(project.data.path)
        return project.data.path
    manifest = _manifest(project, project.data)
    if (folder / MANIFEST).is_file() and read_manifest(folder) == manifest:
        on_samples(sum(len(members.ids) for members in manifest.splits.values()))
        return folder
    with atomic_folder(folder) as partial:
        create_arrays(partial, manifest)
        _draw_all(project, project.data, manifest, partial, on_samples)
    return folder


def _draw_all(
    project: Project,
    data: StreetData,
    manifest: DatasetManifest,
    folder: Path,
    on_samples: Callable[[int], None],
) -> None:
    shares = [(folder, manifest, project.io, data, worker) for worker in range(data.workers)]
    run_in_processes(_draw_share, shares, on_samples)


def _draw_share(
    report: Callable[[int], None],
    folder: Path,
    manifest: DatasetManifest,
    model_io: ModelIO,
    data: StreetData,
    worker: int,
) -> None:
    """Every `workers`-th street of each split."""
    rig = street_rig()
    preprocessor = Preprocessor(model_io, rig)
    grid, window = _grid(model_io), _window_samples(model_io)
    for split, members in manifest.splits.items():
        arrays = {
            spec.name: np.load(array_path(folder, split, spec), mmap_mode="r+", allow_pickle=False)
            for spec in (*manifest.inputs, *manifest.targets)
        }
        for row in range(worker, len(members.ids), data.workers):
            example = draw_example(_street_seed(data, split, row), data.street, rig, grid, window)
            tensors = preprocessor.inputs(example.payloads)
            targets = (example.grid.classes, example.grid.distance_m, example.events.heard)
            for spec in manifest.inputs:
                arrays[spec.name][row] = tensors[spec.name][0]
            for spec, value in zip(manifest.targets, targets, strict=True):
                arrays[spec.name][row] = value
            report(1)


def _manifest(project: Project, data: StreetData) -> DatasetManifest:
    grid = _grid(project.io)
    counts = {"train": data.train, "validation": data.validation, "test": data.test}
    members = {
        split: tuple(f"street-{_street_seed(data, split, row)}" for row in range(counts[split])) for split in SPLITS
    }
    events = next(len(o.classes) for o in project.io.outputs if o.decoder == "events")
    return DatasetManifest(
        schema=1,
        name=project.name,
        provenance={
            "simulator": data.model_dump(mode="json", exclude={"workers"}),
            "io": project.io.model_dump(mode="json", by_alias=True),
            "rig": street_rig().model_dump(mode="json", by_alias=True),
        },
        inputs=tuple(
            TensorSpec(name=item.tensor, dtype="float32", shape=item.shape[1:])
            for item in project.io.inputs
            if not isinstance(item, PresentInput)
        ),
        targets=(
            TensorSpec(name="target_classes", dtype="int64", shape=grid),
            TensorSpec(name="target_distance", dtype="float32", shape=grid),
            TensorSpec(name="target_events", dtype="float32", shape=(events,)),
        ),
        splits={split: SplitSpec(ids=ids, recordings=ids) for split, ids in members.items()},
    )


def _street_seed(data: StreetData, split: Split, row: int) -> int:
    if row >= SPLIT_STRIDE:
        raise ConfigError(f"a split of {row + 1} streets is too large", f"stay below {SPLIT_STRIDE}")
    return (data.seed * len(SPLITS) + SPLITS.index(split)) * SPLIT_STRIDE + row


def _grid(model_io: ModelIO) -> tuple[int, int]:
    grid = grid_of(model_io)
    if grid is None:
        raise ConfigError("street data labels a grid, and io.yaml has no grid output", "add one, or use folder data")
    return grid


def _window_samples(model_io: ModelIO) -> int:
    return max(i.window_samples for i in model_io.inputs if isinstance(i, LogMelInput))
