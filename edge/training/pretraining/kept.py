"""Pretrained encoders on disk, with what they were trained from: an interrupted run need not pretrain again."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from edge.compress.parallel.collectives import first_alone
from edge.compress.provenance import first_change
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import first_line
from edge.training.pretraining.running import PretrainingRecord

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from edge.compress.provenance import Origin
    from edge.models.fusion_model import FusionModel

logger = logging.getLogger(__name__)
PRETRAINED_NAME, PRETRAINED_WEIGHTS = "pretraining.json", "encoders.safetensors"


class PretrainedManifest(BaseModel):
    """`pretraining.json`.

    Attributes:
        origin: What the encoders follow from: data, widths, settings, versions.
        record: What pretraining did.
        weights_sha256: Of the weights' file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    origin: dict[str, Any]
    record: PretrainingRecord
    weights_sha256: str


def encoder_weights(model: FusionModel) -> dict[str, Tensor]:
    """The state of all encoders, by the names that they have in the model."""
    prefixes = tuple(f"branches.{stream}.encoder." for stream in model.modalities)
    return {name: tensor for name, tensor in model.state_dict().items() if name.startswith(prefixes)}


def keep_pretrained(folder: Path, model: FusionModel, origin: Origin, record: PretrainingRecord) -> None:
    """Writes a model's encoders; the folder appears complete or not at all. Collective: the first process writes."""
    weights = save({name: tensor.contiguous() for name, tensor in encoder_weights(model).items()})
    manifest = PretrainedManifest(schema=1, origin=origin, record=record, weights_sha256=_sha256(weights))

    def write() -> None:
        with atomic_folder(folder) as partial:
            (partial / PRETRAINED_WEIGHTS).write_bytes(weights)
            (partial / PRETRAINED_NAME).write_text(manifest.model_dump_json(by_alias=True, indent=1), encoding="utf-8")

    first_alone(write)


def recall_pretrained(folder: Path, model: FusionModel, origin: Origin) -> PretrainingRecord | None:
    """Gives a model's encoders the weights that were kept, if what they follow from is the same.

    Args:
        folder: From `keep_pretrained`; it need not exist.
        model: Of the same widths; all but its encoders stays as it is.
        origin: What the weights should follow from.

    Returns:
        What pretraining did then; None, with the reason logged, where it has to be done again. The model is then as
        it was.
    """
    if not (folder / PRETRAINED_NAME).is_file():
        return None
    try:
        manifest = PretrainedManifest.model_validate_json((folder / PRETRAINED_NAME).read_bytes())
        content = (folder / PRETRAINED_WEIGHTS).read_bytes()
        reason = first_change(manifest.origin, origin)
        if reason is None and _sha256(content) != manifest.weights_sha256:
            reason = f"{folder / PRETRAINED_WEIGHTS} was altered or cut short"
        if reason is None:
            model.load_state_dict({**model.state_dict(), **load(content)})
            return manifest.record
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = f"{folder} holds no pretrained encoders ({first_line(error)})"
    logger.warning("the encoders are pretrained again: %s", reason)
    return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
