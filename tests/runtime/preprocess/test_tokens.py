"""Text as token ids: padded with 0, cut or refused where it is too long, and only by a tokenizer that fits."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime import capabilities
from edge.runtime.errors import ConfigError, MissingDependencyError, RigError, SampleError, TextTooLongError
from edge.runtime.model_io import ModelIO, PresentInput, TokensInput
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.preprocess.tokens import TokensFeature, read_tokenizers
from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import Reading, Sample, Text
from edge.runtime.sanity.gate import REASONS, SanityGate
from tests.runtime.preprocess.small_tokenizer import SPECIAL, WORDS, tokenizer_json

if TYPE_CHECKING:
    from pathlib import Path

RIG = Rig(
    schema=1,
    anchor="report",
    streams={"report": Stream(kind="text", rate_hz=1), "room": Stream(kind="table", rate_hz=1, fields=("t",))},
)
ITEM = TokensInput(tensor="ids", stream="report", shape=(1, 6), tokenizer="tokenizer.json", vocabulary=11)
PAD, UNK, CLS, SEP, DOOR, OPEN, PUMP, IS, LOUD = range(9)


def preprocessor(content: bytes | None = None, **changed: Any) -> Preprocessor:
    item = ITEM.model_copy(update=changed)
    io = ModelIO(schema=1, inputs=(item, PresentInput(streams=("report",))), outputs=())
    return Preprocessor(io, RIG, {item.tokenizer: content or tokenizer_json()})


def ids_of(text: str, **changed: Any) -> list[int]:
    tensors = preprocessor(**changed).inputs({"report": Text(text)})
    assert tensors["ids"].dtype == np.int64
    return list(map(int, tensors["ids"][0]))


def test_text_becomes_ids_and_the_rest_is_padding() -> None:
    assert ids_of("Door open") == [CLS, DOOR, OPEN, SEP, PAD, PAD]
    assert ids_of("pump is what") == [CLS, PUMP, IS, UNK, SEP, PAD]
    assert ids_of("pump is very loud") == [CLS, PUMP, IS, UNK, LOUD, SEP]


def test_an_absent_text_is_zeros_and_present_tells() -> None:
    tensors = preprocessor().inputs({})
    assert tensors["ids"].tolist() == [[0] * 6]
    assert tensors["present"].tolist() == [[0.0]]


def test_a_batch_is_written_in_place() -> None:
    batch = np.full((3, 6), 77, np.int64)
    preprocessor().inputs({"report": Text("door")}, {"ids": batch[1:2]})
    assert batch.tolist() == [[77] * 6, [CLS, DOOR, SEP, 0, 0, 0], [77] * 6]


def test_a_long_text_is_refused_with_its_length_or_cut_before_its_last_token() -> None:
    long = "door open pump is loud"
    with pytest.raises(
        TextTooLongError, match=r"stream 'report': the text has 7 tokens, but the model takes 6"
    ) as told:
        ids_of(long)
    assert told.value.reason == "too_long"
    assert "too_long: cut" in told.value.remedy
    assert ids_of(long, too_long="cut") == [CLS, DOOR, OPEN, PUMP, IS, SEP]


def test_settings_of_the_file_do_not_count() -> None:
    raw = json.loads(tokenizer_json())
    raw["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    raw["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    tensors = preprocessor(json.dumps(raw).encode()).inputs({"report": Text("door open")})
    assert tensors["ids"][0].tolist() == [CLS, DOOR, OPEN, SEP, PAD, PAD]


@pytest.mark.parametrize("text", ["", "   ", "[PAD] [PAD]"])
def test_a_text_without_a_token_is_no_text(text: str) -> None:
    with pytest.raises(SampleError, match="holds nothing that the tokenizer knows"):
        preprocessor(tokenizer_json(around=False)).inputs({"report": Text(text)})


@pytest.mark.parametrize("text", ["\ud800", 5, None])
def test_what_is_no_text_is_named(text: Any) -> None:
    with pytest.raises(SampleError, match="stream 'report': the text cannot be tokenized"):
        ids_of(text)
    with pytest.raises(SampleError, match="the payload is a Reading, but the model needs a Text"):
        preprocessor().inputs({"report": Reading(np.zeros(1, np.float32), ("t",))})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "tokenizer.json is no tokenizer"),
        (b"\x80\x04pickle", "is no tokenizer"),
        (b'{"model": 5}', "is no tokenizer"),
        (tokenizer_json(("[UNK]", "[PAD]", "[CLS]", "[SEP]")), "has the padding id 1, but models here take 0"),
        (tokenizer_json(("[UNK]", "[CLS]", "[SEP]", "door")), "has no padding token, but models here take 0"),
        (tokenizer_json((*SPECIAL, *WORDS, "more")), r"has ids up to 11, but input 'ids' has a vocabulary of 11"),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TokensFeature(ITEM, content)


def test_there_must_be_room_for_more_than_what_stands_around_a_text() -> None:
    with pytest.raises(ConfigError, match="takes 2 tokens, of which the tokenizer's own take 2"):
        preprocessor(shape=(1, 2))


def test_a_tokenizer_that_was_not_given_is_named() -> None:
    io = ModelIO(schema=1, inputs=(ITEM,), outputs=())
    with pytest.raises(ConfigError, match=r"input 'ids' needs the tokenizer tokenizer\.json, which was not given"):
        Preprocessor(io, RIG)


def test_the_stream_must_be_text() -> None:
    with pytest.raises(RigError, match="needs 'room' to be a text stream, but the rig says table"):
        preprocessor(stream="room")


def test_tokenizers_are_read_by_the_names_of_the_io(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_bytes(tokenizer_json())
    io = ModelIO(schema=1, inputs=(ITEM.model_copy(update={"tokenizer": str(path)}),), outputs=())
    assert read_tokenizers(io) == {str(path): tokenizer_json()}
    assert Preprocessor(io, RIG, read_tokenizers(io)).inputs({"report": Text("door")})["ids"][0, 1] == DOOR
    path.unlink()
    with pytest.raises(ConfigError, match=r"words\.json cannot be read"):
        read_tokenizers(io)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = tokenizer_json()
    monkeypatch.setattr(capabilities, "has_module", lambda name: name != "tokenizers")
    with pytest.raises(MissingDependencyError, match=r"pip install 'edge-fusion\[text\]'"):
        TokensFeature(ITEM, content)


@given(st.lists(st.sampled_from([*WORDS, "Z", "[SEP]", "é"]), max_size=12))
def test_ids_are_in_the_vocabulary_and_padding_only_follows(words: list[str]) -> None:
    content = tokenizer_json()
    tensors = preprocessor(content, too_long="cut").inputs({"report": Text(" ".join(words))})
    row = tensors["ids"][0]
    used = int(np.count_nonzero(row))
    assert row[:used].all() and not row[used:].any()
    assert row.max() < ITEM.vocabulary
    assert used == min(len(words) + 2, ITEM.length)


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_what_the_gate_lets_through_becomes_ids_or_is_refused_by_name(text: str) -> None:
    content, gate = tokenizer_json(), SanityGate(RIG)
    reason = gate.refusal(Sample("report", 0, 0, 0, Text(text)))
    assert reason in {"", *REASONS}
    if reason:
        return
    try:
        row = preprocessor(content).inputs({"report": Text(text)})["ids"]
    except TextTooLongError:
        return
    assert row.any() and row.max() < ITEM.vocabulary


def test_threads_share_one_preprocessor() -> None:
    made = preprocessor(too_long="cut")
    texts = [" ".join(WORDS[k % 3 : k % 7 + 1]) or "no" for k in range(64)]
    alone = [made.inputs({"report": Text(text)})["ids"].tolist() for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: made.inputs({"report": Text(text)})["ids"].tolist(), texts)) == alone
