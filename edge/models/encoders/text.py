"""Text: token ids to a map of one row, a column a token, by a model of the BERT family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import PositiveInt
from torch import nn

from edge.models.encoders.pretrained import read_settings, read_weights, start_from
from edge.models.encoders.transformer import TransformerConfig, TransformerFamily, resolved, transformer_settings
from edge.models.hidden_scores import hiding_scores
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from edge.runtime.model_io import TokensInput

Family = Literal["bert", "distilbert"]
BERT = TransformerFamily(
    model_type="bert",
    names={
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "mlp": "intermediate_size",
        "activation": "hidden_act",
        "norm_eps": "layer_norm_eps",
        "positions": "max_position_embeddings",
        "types": "type_vocab_size",
    },
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob"),
    defaults={"types": 2},
)
DISTILBERT = TransformerFamily(
    model_type="distilbert",
    names={
        "hidden": "dim",
        "layers": "n_layers",
        "heads": "n_heads",
        "mlp": "hidden_dim",
        "activation": "activation",
        "positions": "max_position_embeddings",
    },
    dropouts=("dropout", "attention_dropout"),
)
FAMILIES: dict[str, TransformerFamily] = {"bert": BERT, "distilbert": DISTILBERT}
PADDING = 0


class TextEncoderConfig(TransformerConfig):
    """A BERT (Devlin et al. 2019) or a DistilBERT (Sanh et al. 2019); vocabulary and length come from `io.yaml`.

    Attributes:
        family: Which of the two; the folder's by default, else BERT.
        positions: Position embeddings; as many as the text has tokens by default.
        types: Token types of BERT, 2 by default; only the first is used, for there is one text.
    """

    kind: Literal["text"] = "text"
    family: Family | None = None
    positions: PositiveInt | None = None
    types: PositiveInt | None = None


class TextEncoder(nn.Module):
    """int64 ids `[B, length]`, padded with 0 at their end, to float32 `[B, hidden, 1, length]`.

    Padded positions are hidden from attention, and hold the mean of the others in the map, so that the map's mean is
    that over the text alone. The first position counts as text whatever it holds: attention over nothing is undefined,
    and an absent text is all padding.

    Args:
        item: The tensor that it reads.
        config: How wide, or the folder that says so.

    Attributes:
        architecture: The config with every width filled in, which needs no folder.
        origin: Of its weights; None where they started at random.
        config: As given.

    Raises:
        ConfigError: The config contradicts the folder, or there is no such folder.
        ModelError: The folder is of another architecture, vocabulary or padding id, or reads shorter texts.
    """

    def __init__(self, item: TokensInput, config: TextEncoderConfig) -> None:
        super().__init__()
        family = FAMILIES[_family_of(config)]
        asked = _with_positions(config, item.length)
        settings = transformer_settings(asked, family, _settings_class(family), item.stream)
        self.architecture = resolved(asked.model_copy(update={"family": family.model_type}), family, settings)
        self.config = config
        self.out_channels: int = settings.hidden_size
        self.map_shape = (1, item.length)
        if config.pretrained is None:
            settings.vocab_size, settings.pad_token_id = item.vocabulary, PADDING
        _refuse_misfits(item, settings, config)
        model_class, options = _model_class(family)
        weights = None
        if config.pretrained is not None:
            weights = read_weights(config.pretrained, model_class, settings, **options)
        self.net = model_class(settings, **options)
        self.origin = start_from(self.net, weights)

    def forward(self, x: Tensor) -> Tensor:
        """The tokens as a map of one row."""
        kept = self._is_text(x)
        hidden = hiding_scores(kept)[:, None, None, :].expand(-1, -1, x.shape[1], -1)
        tokens: Tensor = self.net(input_ids=x, attention_mask=hidden).last_hidden_state
        kept = kept.unsqueeze(-1)
        mean = (tokens * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True)
        return (tokens * kept + mean * (1.0 - kept)).transpose(1, 2).unsqueeze(2)

    def _is_text(self, ids: Tensor) -> Tensor:
        """float32 `[B, length]`: 1 where a token stands, and at the first position."""
        there = (ids != PADDING).to(torch.float32)
        return torch.cat([torch.ones_like(there[:, :1]), there[:, 1:]], 1)


def _with_positions(config: TextEncoderConfig, length: int) -> TextEncoderConfig:
    if config.pretrained is not None or config.positions is not None:
        return config
    return config.model_copy(update={"positions": length})


def _family_of(config: TextEncoderConfig) -> str:
    if config.pretrained is None:
        return config.family or "bert"
    wanted = (config.family,) if config.family else tuple(FAMILIES)
    found: str = read_settings(config.pretrained, wanted).model_type
    return found


def _settings_class(family: TransformerFamily) -> Any:
    from transformers import BertConfig, DistilBertConfig

    return BertConfig if family is BERT else DistilBertConfig


def _model_class(family: TransformerFamily) -> tuple[Any, dict[str, Any]]:
    """With what its constructor takes; the pooler is left out, for the map is what is wanted."""
    from transformers import BertModel, DistilBertModel

    return (BertModel, {"add_pooling_layer": False}) if family is BERT else (DistilBertModel, {})


def _refuse_misfits(item: TokensInput, settings: Any, config: TextEncoderConfig) -> None:
    whose = f"the model in {config.pretrained}" if config.pretrained else f"the encoder of '{item.stream}'"
    if settings.max_position_embeddings < item.length:
        raise ModelError(
            f"{whose} reads at most {settings.max_position_embeddings} tokens, '{item.stream}' has {item.length}",
            f"give the stream a shape of at most [1, {settings.max_position_embeddings}] in io.yaml",
        )
    if settings.vocab_size != item.vocabulary:
        raise ModelError(
            f"{whose} knows {settings.vocab_size} tokens, io.yaml says that the tokenizer of '{item.stream}' has "
            f"{item.vocabulary}",
            "use the tokenizer.json that was saved with the model, and its size as `vocabulary`",
        )
    if settings.pad_token_id != PADDING:
        raise ModelError(
            f"{whose} pads with the id {settings.pad_token_id}, and padding is {PADDING} here",
            "use a model whose pad_token_id is 0, as the BERT family's is",
        )
    if getattr(settings, "is_decoder", False):
        raise ModelError(f"{whose} is a decoder, which sees only the tokens before", "use an encoder")
