"""Makes a dataset folder of a manifest: its rows through the runtime's own preprocessing, in parallel."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.data.dataset_folder import (
    AVAILABLE,
    MANIFEST,
    SPLITS,
    DatasetManifest,
    Split,
    SplitSpec,
    create_arrays,
    modality_specs,
    open_arrays,
    read_manifest,
)
from edge.data.hugging_face_table import HuggingFaceTable
from edge.data.manifest_samples import ManifestSamples, check_labelled, open_table
from edge.data.parallel import run_in_processes
from edge.project import HuggingFaceData
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import DataError
from edge.runtime.preprocess.tokens import read_tokenizers
from edge.runtime.rig import load_rig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.project import Project, TableData
    from edge.runtime.sources.manifest_rows import ManifestRow, Value
    from edge.runtime.sources.manifest_table import CellTable

logger = logging.getLogger(__name__)


def table_of(data: TableData) -> CellTable:
    """The table that a project names.

    Raises:
        DataError: It cannot be read.
        MissingDependencyError: What reads it is not installed.
    """
    return HuggingFaceTable(data.path) if isinstance(data, HuggingFaceData) else open_table(data.path)


def prepare_manifest(project: Project, data: TableData, folder: Path, on_samples: Callable[[int], None]) -> Path:
    """Draws the three splits of a manifest into `folder`, unless they are there.

    They are drawn anew where a cell, the size or the time of change of a file, the model's inputs, the rig or a
    tokenizer is another.

    Raises:
        ConfigError: Layout, model and rig do not fit each other.
        DataError: A row is bad or a split has none; row and column are named, with what to do.
    """
    samples = ManifestSamples(table_of(data), data.layout, project.io, load_rig(data.rig))
    check_labelled(samples)
    if samples.left_out:
        logger.warning(
            "%s: %d rows only begin a time series and are no samples of their own", samples.path, samples.left_out
        )
    places = {split: samples.chosen(split) for split in SPLITS}
    manifest = _manifest(project, data, samples, places)
    if (folder / MANIFEST).is_file() and read_manifest(folder) == manifest:
        on_samples(len(samples.rows))
        return folder
    with atomic_folder(folder) as partial:
        create_arrays(partial, manifest)
        shares = [(partial, manifest, samples, places, worker, data.workers) for worker in range(data.workers)]
        run_in_processes(_draw_share, shares, on_samples)
    return folder


def _draw_share(
    report: Callable[[int], None],
    folder: Path,
    manifest: DatasetManifest,
    samples: ManifestSamples,
    places: dict[Split, tuple[int, ...]],
    worker: int,
    workers: int,
) -> None:
    """Every `workers`-th row of each split; of rows that cannot be read the first is told when all were tried."""
    bad = _Failures()
    for split, members in places.items():
        arrays = open_arrays(folder, manifest, split)
        for target in range(worker, len(members), workers):
            try:
                _write(arrays, target, samples, members[target], manifest)
            except DataError as error:
                bad.add(error)
            report(1)
    bad.refuse()


def _write(
    arrays: dict[str, np.memmap], target: int, samples: ManifestSamples, place: int, manifest: DatasetManifest
) -> None:
    row = samples.rows[place]
    tensors = samples.tensors(row)
    for spec in manifest.inputs:
        arrays[spec.name][target] = tensors[spec.name][0]
    for spec, value in zip(manifest.targets, samples.labels[place], strict=True):
        arrays[spec.name][target] = value
    if manifest.available:
        arrays[AVAILABLE][target] = [stream in row.values for stream in manifest.available]


class _Failures:
    """Errors of rows whose files turned out to be unusable: the first, and how many more."""

    def __init__(self) -> None:
        self._errors: list[DataError] = []

    def add(self, error: DataError) -> None:
        self._errors.append(error)

    def refuse(self) -> None:
        if self._errors:
            first, *others = self._errors
            more = f" (at least {len(others)} more rows are bad)" if others else ""
            raise DataError(f"{first.problem}{more}", first.remedy)


def _manifest(
    project: Project, data: TableData, samples: ManifestSamples, places: dict[Split, tuple[int, ...]]
) -> DatasetManifest:
    modalities = project.io.modalities
    whole = all(stream in row.values for row in samples.rows for stream in modalities)
    return DatasetManifest(
        schema=1,
        name=project.name,
        provenance={
            "manifest": data.layout.model_dump(mode="json"),
            "content": _content_digest(samples),
            "io": project.io.model_dump(mode="json", by_alias=True),
            "rig": samples.rig.model_dump(mode="json", by_alias=True),
            "tokenizers": {
                name: hashlib.sha256(content).hexdigest() for name, content in read_tokenizers(project.io).items()
            },
            "rows_without_history": samples.left_out,
        },
        inputs=modality_specs(project.io),
        targets=samples.specs,
        splits={split: _members([samples.rows[place] for place in of]) for split, of in places.items()},
        available=() if whole else modalities,
    )


def _members(rows: Sequence[ManifestRow]) -> SplitSpec:
    return SplitSpec(
        ids=tuple(row.id for row in rows),
        recordings=tuple(row.recording for row in rows),
        attributes={name: tuple(row.attributes[name] for row in rows) for name in rows[0].attributes},
    )


def _content_digest(samples: ManifestSamples) -> str:
    """Of all cells, and of the sizes and times of change of the files that they name."""
    digest = hashlib.sha256()
    folder = samples.path if samples.path.is_dir() else samples.path.parent
    for row, labels in zip(samples.rows, samples.labels, strict=True):
        values = {name: _facts(value, folder) for name, value in row.values.items()}
        told = [label.tolist() for label in labels]
        digest.update(repr((row.id, row.recording, row.split, values, sorted(row.attributes.items()), told)).encode())
    return digest.hexdigest()


def _facts(value: Value, folder: Path) -> object:
    if isinstance(value, Path):
        found = value.stat()
        return os.path.relpath(value, folder), found.st_size, found.st_mtime_ns
    return value if isinstance(value, (str, tuple)) else value.identity
