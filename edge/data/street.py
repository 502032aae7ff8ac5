"""Draws a street dataset: simulated payloads through the runtime's own preprocessing, in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.data.dataset_folder import (
    MANIFEST,
    SPLITS,
    DatasetManifest,
    Split,
    SplitSpec,
    TensorSpec,
    create_arrays,
    modality_specs,
    open_arrays,
    read_manifest,
)
from edge.data.parallel import run_in_processes
from edge.models.fusion_model import grid_of
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import LogMelInput, ModelIO
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.simulate.example import draw_example
from edge.runtime.simulate.rig import street_rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.project import Project, StreetData

SPLIT_STRIDE = 10_000_000  # seeds per split: no street is ever in two


def draw_street(project: Project, data: StreetData, folder: Path, on_samples: Callable[[int], None]) -> Path:
    """Draws a street dataset into `folder`, unless it is there.

    Raises:
        ConfigError: The model has no grid, or a split is too large.
    """
    manifest = _manifest(project, data)
    if (folder / MANIFEST).is_file() and read_manifest(folder) == manifest:
        on_samples(sum(len(members.ids) for members in manifest.splits.values()))
        return folder
    with atomic_folder(folder) as partial:
        create_arrays(partial, manifest)
        _draw_all(project, data, manifest, partial, on_samples)
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
        arrays = open_arrays(folder, manifest, split)
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
        inputs=modality_specs(project.io),
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
