"""`config.json` of a saved fusion model: what it is built from, and where its weights came from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.models.encoders.pretrained import PretrainedOrigin
from edge.runtime.model_io import ModelIO

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"


class ModelProvenance(BaseModel):
    """What is known of a model's making. Everything in it was recorded when it was trained; nothing is guessed.

    Attributes:
        project: Name of the project that trained it.
        project_sha256: Of the resolved project.
        data: Name of the dataset.
        samples: In each split of it; empty where the dataset was not at hand when the model was saved.
        metrics: `{modality state: {metric: points}}` on the test split.
        validation_metrics: The same on the validation split.
        training: Settings of the training.
        seconds: That it took.
        params: Weights of the model.
        macs: Multiply-accumulates of one inference.
        versions: Of the packages that trained it.
        pretrained: Where encoders have their first weights from, by stream.
        licence: Under which the weights may be used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str
    project_sha256: str
    data: str
    samples: dict[str, int] = {}
    metrics: dict[str, dict[str, float]] = {}
    validation_metrics: dict[str, dict[str, float]] = {}
    training: dict[str, Any] = {}
    seconds: float = Field(ge=0)
    params: int = Field(ge=0)
    macs: int = Field(ge=0)
    versions: dict[str, str] = {}
    pretrained: dict[str, PretrainedOrigin] = {}
    licence: str


class ModelDocument(BaseModel):
    """`config.json`.

    Attributes:
        library_name: Who can load it.
        architecture: The class to build.
        model: Its config, complete: no file is needed beside it.
        io: Tensors in and out.
        provenance: Absent where the model was saved without.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    library_name: Literal["edge-fusion"] = "edge-fusion"
    architecture: Literal["FusionModel"] = "FusionModel"
    model: dict[str, Any]
    io: ModelIO
    provenance: ModelProvenance | None = None
