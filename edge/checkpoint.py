"""A trained teacher on disk: project, weights (safetensors) and what was measured. No pickle.

The folder is one of `FusionModel.save_pretrained` with `checkpoint.json` beside it, so `FusionModel.from_pretrained`
loads it as well.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.compress.stages.record import StageRecord
from edge.data.dataset_folder import read_manifest
from edge.models.encoders.pretrained import origins_of
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.models.hub import read_document
from edge.models.hub_document import CONFIG_FILE, WEIGHTS_FILE, ModelProvenance
from edge.models.saved_weights import load_weights
from edge.project import Project
from edge.runtime.atomic import atomic_folder
from edge.runtime.environment import describe_host
from edge.runtime.errors import DataError, ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

CHECKPOINT_FILE = "checkpoint.json"
LICENCE = (
    "The weights carry the licence that their owner gives them. What they were trained on, and what pretrained weights "
    "they started from, keep licences of their own. edge-fusion itself is under Apache-2.0."
)
logger = logging.getLogger(__name__)


class CheckpointManifest(BaseModel):
    """`checkpoint.json`: the resolved project, the dataset it was trained on, and the teacher's record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: Project
    dataset: Path
    record: StageRecord


@dataclass(frozen=True)
class Checkpoint:
    """A teacher with its manifest."""

    manifest: CheckpointManifest
    model: FusionModel


def save_checkpoint(
    folder: Path, manifest: CheckpointManifest, model: nn.Module, documents: Mapping[str, str] | None = None
) -> None:
    """Writes manifest, weights, config and model card; the folder appears complete or not at all.

    Args:
        folder: Replaced.
        manifest: What the model came of.
        model: A `FusionModel`; it is told its provenance.
        documents: Further files of text, by name.
    """
    assert isinstance(model, FusionModel), "teachers are fusion models"
    model.provenance = provenance_of(manifest, model)
    with atomic_folder(folder) as partial:
        model.save_pretrained(partial)
        text = manifest.model_dump_json(by_alias=True, indent=1)
        (partial / CHECKPOINT_FILE).write_text(text, encoding="utf-8")
        for name, content in (documents or {}).items():
            (partial / name).write_text(content, encoding="utf-8")


def load_checkpoint(folder: Path) -> Checkpoint:
    """Rebuilds the teacher that `save_checkpoint` wrote.

    Raises:
        ModelError: A file is missing or malformed, or the weights are of another architecture.
    """
    try:
        manifest = CheckpointManifest.model_validate_json((folder / CHECKPOINT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{folder} is no readable checkpoint ({first_line(error)})", "train it again with: edge train"
        ) from error
    model = FusionModel(_without_folders(manifest.project.teacher, folder), manifest.project.io)
    load_weights(model, folder / WEIGHTS_FILE)
    if (folder / CONFIG_FILE).is_file():
        model.provenance = read_document(folder / CONFIG_FILE).provenance
    return Checkpoint(manifest, model)


def provenance_of(manifest: CheckpointManifest, model: FusionModel) -> ModelProvenance:
    """What the model card tells of a teacher, from its record."""
    record, project = manifest.record, manifest.project
    data, samples = _dataset_of(manifest)
    return ModelProvenance(
        project=project.name,
        project_sha256=hashlib.sha256(project.model_dump_json(by_alias=True).encode()).hexdigest(),
        data=data,
        samples=samples,
        metrics=record.metrics,
        validation_metrics=record.gate_metrics,
        training=record.config,
        seconds=record.seconds,
        params=record.params,
        macs=record.macs,
        versions=describe_host().packages,
        pretrained=origins_of(model),
        licence=LICENCE,
    )


def _dataset_of(manifest: CheckpointManifest) -> tuple[str, dict[str, int]]:
    """Its name, and samples by split; the latter empty where it is no longer there to count."""
    try:
        found = read_manifest(manifest.dataset)
    except DataError as error:
        logger.warning("the model card does not say how many samples there were: %s", error.problem)
        return manifest.project.data.kind, {}
    return found.name, {split: len(members.ids) for split, members in found.splits.items()}


def _without_folders(config: FusionModelConfig, folder: Path) -> FusionModelConfig:
    """Encoders that were read from a folder are built from the widths that were saved, for the folder may be gone."""
    read = [stream for stream, encoder in config.encoders.items() if getattr(encoder, "pretrained", None) is not None]
    if not read:
        return config
    saved = FusionModelConfig.model_validate(read_document(folder / CONFIG_FILE).model)
    return config.model_copy(update={"encoders": {**config.encoders, **{name: saved.encoders[name] for name in read}}})
