"""What is hidden: as much as asked, where it may be, drawn by the generator alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import TokensInput
from edge.training.pretraining.config import FieldMaskConfig, PatchMaskConfig, TokenMaskConfig
from edge.training.pretraining.mask_token import find_mask_token
from edge.training.pretraining.masking import hidden_fields, hidden_patches, hidden_tokens


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 33),
    st.integers(1, 33),
    st.floats(0.05, 0.95),
    st.one_of(st.none(), st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.integers(0, 99),
)
def test_every_sample_hides_whole_patches_as_many_as_asked(
    count: int, channels: int, height: int, width: int, share: float, patch: tuple[int, int] | None, seed: int
) -> None:
    config = PatchMaskConfig(share=share, patch=patch)
    hidden = hidden_patches((count, channels, height, width), config, seeded(seed))
    assert hidden.shape == (count, channels, height, width) and hidden.dtype == torch.bool
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden)), "alike in all channels"
    tall, wide = patch or (max(1, height // 8), max(1, width // 8))
    tall, wide = min(tall, height), min(wide, width)
    corners = hidden[:, 0, ::tall, ::wide]
    assert torch.equal(corners.repeat_interleave(tall, 1).repeat_interleave(wide, 2)[:, :height, :width], hidden[:, 0])
    patches = corners[0].numel()
    wanted = min(max(1, round(share * patches)), max(1, patches - 1))
    assert (corners.flatten(1).sum(1) == wanted).all(), "something is hidden, and something left, where two patches are"
    assert torch.equal(hidden, hidden_patches((count, channels, height, width), config, seeded(seed)))


@pytest.mark.parametrize("shape", [(500, 12), (60, 4, 50)])
def test_the_asked_share_of_readings_is_hidden(shape: tuple[int, ...]) -> None:
    hidden = hidden_fields(shape, FieldMaskConfig(share=0.3, steps=5), seeded(0))
    assert hidden.shape == shape
    assert float(hidden.float().mean()) == pytest.approx(0.3, abs=0.03)


def test_series_lose_stretches_that_begin_anywhere() -> None:
    hidden = hidden_fields((200, 3, 40), FieldMaskConfig(share=0.2, steps=8), seeded(1))
    edges = (hidden[..., 1:] != hidden[..., :-1]).float().mean((0, 1))
    assert float(edges.min()) > 0, "an edge may be at any step"
    assert float(edges.mean()) < 0.08, "single readings would have 0.32 edges a step"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.floats(0.05, 0.9))
def test_tokens_are_masked_replaced_or_left_and_padding_is_none_of_it(seed: int, share: float) -> None:
    ids = torch.randint(5, 50, (16, 12), generator=seeded(seed))
    ids[:, 0] = 2
    ids[:, 8:] = 0
    config = TokenMaskConfig(share=share, kept_ids=(2,))
    shown, chosen = hidden_tokens(ids, config, 4, 50, seeded(seed))
    assert torch.equal(shown[~chosen], ids[~chosen])
    assert not bool(chosen[:, 0].any()) and not bool(chosen[:, 8:].any())
    assert int(shown.max()) < 50 and bool((shown[:, :8] != 0).all())


def test_of_the_chosen_tokens_four_in_five_are_masked() -> None:
    ids = torch.randint(5, 5000, (400, 50), generator=seeded(0))
    shown, chosen = hidden_tokens(ids, TokenMaskConfig(share=0.15), 4, 5000, seeded(1))
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((shown[chosen] == 4).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float((shown[chosen] == ids[chosen]).float().mean()) == pytest.approx(0.1, abs=0.03)


def tokens(tokenizer: Path, vocabulary: int = 20) -> TokensInput:
    return TokensInput(tensor="ids", stream="report", shape=(1, 8), tokenizer=str(tokenizer), vocabulary=vocabulary)


def test_the_mask_token_is_the_tokenizers_own(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"added_tokens": [{"id": 0, "content": "[PAD]"}, {"id": 7, "content": "[MASK]"}]}))
    assert find_mask_token(tokens(path), TokenMaskConfig()) == 7
    assert find_mask_token(tokens(path), TokenMaskConfig(mask_id=3)) == 3


@pytest.mark.parametrize("content", ['{"added_tokens": []}', "{}", "[1]", "no json", None])
def test_without_a_mask_token_the_remedy_names_the_key(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"tokenizer.json.*set pretrain.masks.report to"):
        find_mask_token(tokens(path), TokenMaskConfig())


def test_a_mask_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match="the mask token of 'report' is 20, its vocabulary has 20 tokens"):
        find_mask_token(tokens(Path("none.json")), TokenMaskConfig(mask_id=20))
