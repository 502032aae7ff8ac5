"""Tiny transformer branches, and folders as Hugging Face's tools write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    ASTConfig,
    ASTForAudioClassification,
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
)

from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.model_io import ImageInput, LogMelInput, ModelIO, TokensInput

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

WIDTHS: dict[str, Any] = {"hidden": 16, "layers": 1, "heads": 2}
BERT_WIDTHS: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
VOCABULARY, LENGTH = 30, 8
CAMERA = {"feature": "image", "tensor": "camera", "stream": "camera", "shape": [1, 3, 16, 24]}
SOUND = {"feature": "logmel", "tensor": "sound", "stream": "sound", "shape": [1, 1, 16, 24]}
REPORT = {
    "feature": "tokens",
    "tensor": "report",
    "stream": "report",
    "shape": [1, LENGTH],
    "tokenizer": "tokenizer.json",
    "vocabulary": VOCABULARY,
}
VERDICT = {"decoder": "softmax", "tensor": "verdict", "classes": ["a", "b", "c"]}
ENCODERS: dict[str, dict[str, Any]] = {
    "camera": {"kind": "vit", "patch": 8, **WIDTHS},
    "sound": {"kind": "ast", "patch": 8, "stride": 8, **WIDTHS},
    "report": {"kind": "text", **WIDTHS},
}


def camera_input(*shape: int) -> ImageInput:
    return ImageInput.model_validate({**CAMERA, "shape": shape or CAMERA["shape"]})


def sound_input(*shape: int) -> LogMelInput:
    return LogMelInput.model_validate({**SOUND, "shape": shape or SOUND["shape"]})


def report_input(**changes: Any) -> TokensInput:
    return TokensInput.model_validate({**REPORT, **changes})


def all_io() -> ModelIO:
    """A picture, a sound and a text in, one of three classes out."""
    present = {"feature": "present", "streams": list(ENCODERS)}
    return ModelIO.model_validate({"schema": 1, "inputs": [CAMERA, SOUND, REPORT, present], "outputs": [VERDICT]})


def fusion_config(**changes: dict[str, Any]) -> FusionModelConfig:
    """All three transformers; `changes` are further keys of an encoder, by stream."""
    encoders = {stream: {**config, **changes.get(stream, {})} for stream, config in ENCODERS.items()}
    return FusionModelConfig.model_validate({"encoders": encoders, "fusion": {"channels": 16}})


def fusion_model(seed: int = 0, **changes: dict[str, Any]) -> FusionModel:
    torch.manual_seed(seed)
    return FusionModel(fusion_config(**changes), all_io()).eval()


def tensors(batch: int, seed: int = 0) -> tuple[Tensor, ...]:
    """A batch for that model, everything present; texts of every length."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (batch, LENGTH), generator=generator)
    lengths = torch.randint(1, LENGTH + 1, (batch, 1), generator=generator)
    ids = ids * (torch.arange(LENGTH) < lengths)
    camera = torch.randn(batch, 3, 16, 24, generator=generator)
    return camera, torch.randn(batch, 1, 16, 24, generator=generator), ids, torch.ones(batch, 3)


def write_vit(folder: Path, **changes: Any) -> ViTForImageClassification:
    """A classifier, whose head and prefix the encoder has no use for."""
    config = {**BERT_WIDTHS, "image_size": 16, "patch_size": 8, "num_labels": 2, **changes}
    return _written(ViTForImageClassification(ViTConfig(**config)), folder)


def write_ast(folder: Path, **changes: Any) -> ASTForAudioClassification:
    sizes = {"num_mel_bins": 16, "max_length": 24, "patch_size": 8, "frequency_stride": 8, "time_stride": 8}
    return _written(ASTForAudioClassification(ASTConfig(**{**BERT_WIDTHS, **sizes, **changes})), folder)


def write_bert(folder: Path, **changes: Any) -> BertForMaskedLM:
    config = {**BERT_WIDTHS, "vocab_size": VOCABULARY, "max_position_embeddings": 12, **changes}
    return _written(BertForMaskedLM(BertConfig(**config)), folder)


def write_distilbert(folder: Path) -> DistilBertForSequenceClassification:
    widths = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24}
    config = DistilBertConfig(vocab_size=VOCABULARY, max_position_embeddings=12, **widths)
    return _written(DistilBertForSequenceClassification(config), folder)


def _written(model: Any, folder: Path) -> Any:
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # also where transformers starts at zero
    model.eval().save_pretrained(folder)
    return model
