"""What the encoders that are transformers share: widths, where their weights come from, how they are tuned."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from edge.models.encoders.pretrained import read_settings, weights_digest
from edge.runtime.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Those whose operators every target takes.
Activation = Literal["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu"]
MLP_FACTOR = 4  # of Vaswani et al. 2017
# Masks are added to the scores as a finite number, and the scores are computed as written: torch's own attention
# kernel would export with tests for NaN, which INT8 compilers refuse or leave to slow kernels.
ATTENTION = "eager"
DEFAULTS: Mapping[str, Any] = {"hidden": 128, "layers": 4, "heads": 4, "activation": "gelu", "norm_eps": 1e-12}


class LoraSettings(BaseModel):
    """Low-rank adapters (Hu et al. 2021): `W + alpha / rank * B A`, of which only A and B learn.

    Attributes:
        rank: Rows of A; `alpha` over it scales what is added.
        alpha: That scale's numerator.
        dropout: On what enters A.
        layers: `attention` adapts queries and values, as the paper does; `all` every linear layer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: PositiveInt = 8
    alpha: float = Field(16.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    layers: Literal["attention", "all"] = "attention"


class TransformerConfig(BaseModel):
    """Base of the transformers' configs. What is left out comes from the pretrained folder, else has a default.

    Attributes:
        hidden: Features of a token, 128 by default.
        layers: Blocks, 4 by default.
        heads: Of attention in each, 4 by default.
        mlp: Features between a block's two last layers, four times `hidden` by default.
        activation: Between them.
        norm_eps: Of the layer norms.
        dropout: In training; by default what the folder says, else what the paper of the architecture uses.
        pretrained: A folder in Hugging Face's layout (`config.json`, `model.safetensors`); random weights otherwise.
        tuning: What of it learns: everything, nothing, or low-rank adapters that are merged after training.
        lora: Of those adapters.

    Raises:
        ValueError: The heads do not divide the features, or `lora` is set and `tuning` is not `lora`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: PositiveInt | None = None
    layers: PositiveInt | None = None
    heads: PositiveInt | None = None
    mlp: PositiveInt | None = None
    activation: Activation | None = None
    norm_eps: float | None = Field(None, gt=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    pretrained: Path | None = None
    tuning: Literal["full", "frozen", "lora"] = "full"
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _heads_divide_features(self) -> TransformerConfig:
        hidden, heads = self.hidden or DEFAULTS["hidden"], self.heads or DEFAULTS["heads"]
        if self.pretrained is None and hidden % heads:
            raise ValueError(f"{heads} heads do not divide {hidden} hidden features")
        return self

    @model_validator(mode="after")
    def _lora_is_asked_for(self) -> TransformerConfig:
        if self.lora is not None and self.tuning != "lora":
            raise ValueError(f"there are settings for `lora`, and tuning is '{self.tuning}': say `tuning: lora`")
        return self


@dataclass(frozen=True)
class TransformerFamily:
    """How `transformers` calls what decides the shape and function of one family of models.

    Attributes:
        model_type: The family's name in a `config.json`.
        names: Our key to theirs.
        dropouts: Their keys for dropout.
        defaults: By our keys, where a config says nothing and no folder is named.
    """

    model_type: str
    names: Mapping[str, str]
    dropouts: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)


ConfigKind = TypeVar("ConfigKind", bound=TransformerConfig)


def transformer_settings(config: TransformerConfig, family: TransformerFamily, settings_class: Any, stream: str) -> Any:
    """The settings of transformers for an encoder: the folder's, or ours with defaults.

    Args:
        config: What the project says.
        family: Names of that family.
        settings_class: Of transformers, e.g. `ViTConfig`.
        stream: For messages.

    Raises:
        ConfigError: A key contradicts the pretrained folder, or the folder does not exist.
        ModelError: The folder is of another architecture, or cannot be read.
    """
    asked = {key: getattr(config, key) for key in family.names if getattr(config, key) is not None}
    dropout = {} if config.dropout is None else dict.fromkeys(family.dropouts, config.dropout)
    if config.pretrained is not None:
        settings = read_settings(config.pretrained, (family.model_type,))
        _refuse_contradictions(asked, settings, family, config.pretrained, stream)
        for name, value in dropout.items():
            setattr(settings, name, value)
    else:
        ours = {**DEFAULTS, **family.defaults, **asked}
        ours.setdefault("mlp", MLP_FACTOR * ours["hidden"])
        theirs = {name: ours[key] for key, name in family.names.items()}
        settings = settings_class(**theirs, **dropout)
    settings._attn_implementation = ATTENTION
    return settings


def resolved(config: ConfigKind, family: TransformerFamily, settings: Any) -> ConfigKind:
    """The same architecture as a config that needs no folder: what a saved model is built from.

    Raises:
        ModelError: The folder uses something that there is no word for here, such as patches that are not square.
    """
    found = {key: getattr(settings, name) for key, name in family.names.items()}
    found["dropout"] = getattr(settings, family.dropouts[0])
    kept = config.model_dump(exclude={"pretrained", "tuning", "lora"})
    try:
        return type(config).model_validate({**kept, **found})
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(
            f"the model in {config.pretrained} has {'.'.join(map(str, first['loc']))} {first['input']!r}, which is not "
            f"known here ({first['msg']})",
            "name another folder",
        ) from error


def pretrained_digests(encoders: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the pretrained weights that encoders start from, by stream: what a training follows from.

    Args:
        encoders: Configs of any kind, by stream.
    """
    named = {stream: getattr(config, "pretrained", None) for stream, config in encoders.items()}
    return {stream: weights_digest(folder) for stream, folder in named.items() if folder is not None}


def _refuse_contradictions(
    asked: Mapping[str, Any], settings: Any, family: TransformerFamily, folder: Path, stream: str
) -> None:
    for key, wanted in asked.items():
        found = getattr(settings, family.names[key])
        if found != wanted:
            raise ConfigError(
                f"the encoder of '{stream}' asks for {key} {wanted}, the model in {folder} has {found}",
                f"drop the key `{key}`: it comes from the folder",
            )
