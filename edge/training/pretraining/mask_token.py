"""The token that stands for a hidden one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge.runtime.model_io import TokensInput
    from edge.training.pretraining.config import TokenMaskConfig

MASK_TOKENS = ("[MASK]", "<mask>")


def find_mask_token(item: TokensInput, config: TokenMaskConfig) -> int:
    """Its id: the config's own, or the one that the stream's `tokenizer.json` lists among its special tokens.

    Raises:
        ConfigError: It is outside the vocabulary, the file cannot be read, or it lists none.
    """
    found = _listed(item) if config.mask_id is None else config.mask_id
    if not 0 < found < item.vocabulary:
        raise ConfigError(
            f"the mask token of '{item.stream}' is {found}, its vocabulary has {item.vocabulary} tokens",
            f"set pretrain.masks.{item.stream}.mask_id to the id of a token that no text has",
        )
    return found


def _listed(item: TokensInput) -> int:
    remedy = f"set pretrain.masks.{item.stream} to {{kind: tokens, mask_id: ID}}"
    try:
        content = json.loads(Path(item.tokenizer).read_text(encoding="utf-8"))
        special = {str(token["content"]): int(token["id"]) for token in content.get("added_tokens", ())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"no mask token can be read from {item.tokenizer} ({error})", remedy) from error
    for name in MASK_TOKENS:
        if name in special:
            return special[name]
    raise ConfigError(f"{item.tokenizer} lists no {' or '.join(MASK_TOKENS)}", remedy)
