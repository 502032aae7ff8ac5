"""The dataset of a project: drawn from the simulator, made of a manifest, or a folder as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.data.dataset_folder import read_manifest
from edge.data.manifest_drawing import prepare_manifest, table_of
from edge.data.street import draw_street
from edge.project import FolderData, Project, StreetData
from edge.runtime.rig import Rig, load_rig
from edge.runtime.simulate.rig import street_rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def project_rig(project: Project) -> Rig:
    """The sensors that the project's samples are taken with."""
    return street_rig() if isinstance(project.data, StreetData) else load_rig(project.data.rig)


def sample_count(project: Project) -> int | None:
    """How many samples `prepare_dataset` makes ready, at most; None where they are ready.

    Raises:
        DataError: A table cannot be read.
    """
    if isinstance(project.data, FolderData):
        return None
    return project.data.samples if isinstance(project.data, StreetData) else len(table_of(project.data))


def prepare_dataset(project: Project, folder: Path, on_samples: Callable[[int], None] = lambda _n: None) -> Path:
    """The project's dataset: a prepared folder as it is, all else drawn into `folder`.

    A folder that already holds exactly this dataset is used again.

    Args:
        project: Says what data.
        folder: Where a drawn dataset goes.
        on_samples: Called with the number of samples just drawn.

    Raises:
        ConfigError: What the data is does not fit the model.
        DataError: The folder is no dataset, or the table has a bad row.
    """
    data = project.data
    if isinstance(data, FolderData):
        read_manifest(data.path)
        return data.path
    if isinstance(data, StreetData):
        return draw_street(project, data, folder, on_samples)
    return prepare_manifest(project, data, folder, on_samples)
