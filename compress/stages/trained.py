"""A trained model on disk with what it was trained from, so that an interrupted run need not train it again."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from edge.compress.provenance import first_change
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import first_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

logger = logging.getLogger(__name__)
TRAINED_NAME, TRAINED_WEIGHTS = "trained.json", "model.safetensors"


class TrainedManifest(BaseModel):
    """`trained.json`.

    Attributes:
        origin: What the model was trained from (`edge.compress.stages.origin.training_origin`).
        seconds: Wall time that it took.
        weights_sha256: Of the weights' file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    origin: dict[str, Any]
    seconds: float = Field(ge=0)
    weights_sha256: str


def keep_trained(folder: Path, model: nn.Module, origin: dict[str, Any], seconds: float) -> None:
    """Writes a model that was just trained; the folder appears complete or not at all.

    Args:
        folder: Replaced.
        model: Its weights are kept, not its code.
        origin: What they follow from.
        seconds: That training took.
    """
    weights = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    manifest = TrainedManifest(schema=1, origin=origin, seconds=seconds, weights_sha256=_sha256(weights))
    with atomic_folder(folder) as partial:
        (partial / TRAINED_WEIGHTS).write_bytes(weights)
        (partial / TRAINED_NAME).write_text(manifest.model_dump_json(by_alias=True, indent=1), encoding="utf-8")


def recall_trained(folder: Path, model: nn.Module, origin: dict[str, Any]) -> float | None:
    """Gives a freshly built model the weights that were kept, if what they follow from is the same.

    Args:
        folder: From `keep_trained`; it need not exist.
        model: Of the same architecture; in eval mode afterwards.
        origin: What they should follow from.

    Returns:
        Seconds that training took then; None, with the reason logged, where it has to be done again. The model is
        then as it was.
    """
    if not (folder / TRAINED_NAME).is_file():
        return None
    try:
        manifest = TrainedManifest.model_validate_json((folder / TRAINED_NAME).read_bytes())
        content = (folder / TRAINED_WEIGHTS).read_bytes()
        reason = first_change(manifest.origin, origin)
        if reason is None and _sha256(content) != manifest.weights_sha256:
            reason = f"{folder / TRAINED_WEIGHTS} was altered or cut short"
        if reason is None:
            model.load_state_dict(load(content))
            model.eval()
            return manifest.seconds
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = f"{folder} holds no such model ({first_line(error)})"
    logger.warning("the teacher is trained again: %s", reason)
    return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
