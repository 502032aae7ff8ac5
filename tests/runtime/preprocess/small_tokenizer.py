"""A tokenizer of a few words, as a file of the package `tokenizers`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("door", "open", "pump", "is", "loud", "no", "finding")


def tokenizer_json(words: Sequence[str] = (*SPECIAL, *WORDS), *, around: bool = True) -> bytes:
    """The bytes of `tokenizer.json`: words by their place; `around`: [CLS] and [SEP] stand about every text."""
    module = pytest.importorskip("tokenizers")
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = module.Tokenizer(module.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens([word for word in words if word in SPECIAL])
    tokenizer.normalizer = module.normalizers.Lowercase()
    tokenizer.pre_tokenizer = module.pre_tokenizers.Whitespace()
    if around:
        ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = module.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return str(tokenizer.to_str()).encode()
