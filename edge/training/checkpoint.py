"""A trained teacher on disk: project, weights (safetensors) and what was measured. No pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from edge.compress.stages.record import StageRecord
from edge.models.fusion_model import FusionModel
from edge.project import Project
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

CHECKPOINT_FILE = "checkpoint.json"
WEIGHTS_FILE = "model.safetensors"


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


def save_checkpoint(folder: Path, manifest: CheckpointManifest, model: nn.Module) -> None:
    """Writes manifest and weights; the folder appears complete or not at all."""
    with atomic_folder(folder) as partial:
        text = manifest.model_dump_json(by_alias=True, indent=1)
        (partial / CHECKPOINT_FILE).write_text(text, encoding="utf-8")
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, partial / WEIGHTS_FILE)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Rebuilds the teacher that `save_checkpoint` wrote.

    Raises:
        ModelError: A file is missing or malformed, or the weights are of another architecture.
    """
    try:
        manifest = CheckpointManifest.model_validate_json((folder / CHECKPOINT_FILE).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS_FILE)
    except (OSError, ValidationError, SafetensorError) as error:
        raise ModelError(
            f"{folder} is no readable checkpoint ({str(error).splitlines()[0]})", "train it again with: edge train"
        ) from error
    model = FusionModel(manifest.project.teacher, manifest.project.io)
    expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in weights.items()}
    if expected != found:
        name = next(name for name in (*expected, *found) if expected.get(name) != found.get(name))
        raise ModelError(
            f"{folder / WEIGHTS_FILE} does not fit its project: '{name}' is {found.get(name)}, "
            f"not {expected.get(name)}",
            "use the weights that were saved with this project",
        )
    model.load_state_dict(weights)
    return Checkpoint(manifest, model.eval())
