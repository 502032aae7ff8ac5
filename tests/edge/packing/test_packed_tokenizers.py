"""Tokenizers in a bundle: under names of its own, each once, checked when it is packed and when it is opened."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.packing.pack import pack_bundle, pack_tokenizers
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, ConfigError
from edge.runtime.manifest import TOKENIZER_FILES, size_limit
from edge.runtime.model_io import ModelIO, TokensInput
from tests.runtime.preprocess.small_tokenizer import SPECIAL, WORDS, tokenizer_json
from tests.runtime.text_bundle import text_contents, text_io

if TYPE_CHECKING:
    from pathlib import Path

ITEM = TokensInput(tensor="ids", stream="report", shape=(1, 6), tokenizer="tokenizer.json", vocabulary=99)


def io_with(*tokenizers: str) -> ModelIO:
    inputs = tuple(ITEM.model_copy(update={"tensor": f"ids{i}", "tokenizer": t}) for i, t in enumerate(tokenizers))
    return ModelIO(schema=1, inputs=inputs, outputs=())


def test_a_bundle_carries_its_tokenizer(tmp_path: Path) -> None:
    contents = text_contents()
    bundle = pack_bundle(tmp_path / "bundle", contents)
    assert bundle.model_io == text_io("tokenizer.json")
    assert bundle.tokenizers() == {"tokenizer.json": tokenizer_json()}
    assert "tokenizer.json" in bundle.manifest.files
    for given, kept in zip(contents.golden_inputs, bundle.golden_inputs(), strict=True):
        assert kept["ids"].dtype == np.int64
        np.testing.assert_array_equal(kept["ids"], given["ids"])


def test_equal_tokenizers_are_packed_once_and_others_under_numbers() -> None:
    one, other = b"one", b"other"
    io, files = pack_tokenizers(
        io_with("/a/x.json", "/b/x.json", "c.json"),
        dict(zip(("/a/x.json", "/b/x.json", "c.json"), (one, other, one), strict=True)),
    )
    assert [item.tokenizer for item in io.inputs if isinstance(item, TokensInput)] == [
        "tokenizer.json",
        "tokenizer.1.json",
        "tokenizer.json",
    ]
    assert files == {"tokenizer.json": one, "tokenizer.1.json": other}
    assert all(size_limit(name) for name in TOKENIZER_FILES)
    assert [size_limit(name) for name in ("tokenizer.0.json", "tokenizer.10.json", "a/tokenizer.json")] == [None] * 3


def test_a_bundle_holds_so_many_tokenizers() -> None:
    names = tuple(f"{i}.json" for i in range(11))
    with pytest.raises(BundleError, match="the model has 11 tokenizers"):
        pack_tokenizers(io_with(*names), {name: name.encode() for name in names})


def test_a_tokenizer_that_is_missing_or_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    contents = text_contents()
    with pytest.raises(BundleError, match=r"input 'ids' has no tokenizer; give the content of words\.json"):
        pack_bundle(tmp_path / "bundle", replace(contents, tokenizers={}))
    larger = tokenizer_json((*SPECIAL, *WORDS, "more"))
    with pytest.raises(ConfigError, match="has ids up to 11, but input 'ids' has a vocabulary of 11"):
        pack_bundle(tmp_path / "bundle", replace(contents, tokenizers={"words.json": larger}))
    assert list(tmp_path.iterdir()) == []


def test_an_altered_tokenizer_is_refused(tmp_path: Path) -> None:
    path = pack_bundle(tmp_path / "bundle", text_contents()).path
    bundle = Bundle.open(path)
    content = (path / "tokenizer.json").read_bytes()
    (path / "tokenizer.json").write_bytes(content.replace(b"door", b"dour"))
    with pytest.raises(BundleError, match=r"tokenizer\.json was altered after packing"):
        Bundle.open(path)
    with pytest.raises(BundleError, match=r"tokenizer\.json was altered after packing"):
        bundle.tokenizers()
    (path / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json is missing"):
        Bundle.open(path)


@pytest.mark.parametrize("name", ["tokenizer.1.json", "../tokenizer.json", "rig.yaml", "/etc/passwd", "\x1b[2J"])
def test_an_io_that_names_a_file_that_is_no_tokenizer_of_the_bundle_is_refused(tmp_path: Path, name: str) -> None:
    """Rehashed by hand, as who can write the folder can."""
    import hashlib

    import yaml

    from edge.runtime.manifest import make_manifest

    path = pack_bundle(tmp_path / "bundle", text_contents()).path
    io = yaml.safe_load((path / "io.yaml").read_text())
    io["inputs"][0]["tokenizer"] = name
    (path / "io.yaml").write_text(yaml.safe_dump(io))
    raw = json.loads((path / "manifest.json").read_text())
    content = (path / "io.yaml").read_bytes()
    raw["files"]["io.yaml"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    fields = {key: value for key, value in raw.items() if key not in ("id", "schema")}
    (path / "manifest.json").write_bytes(make_manifest(fields).to_bytes())
    with pytest.raises(BundleError, match=r"io\.yaml needs the tokenizer .* which the bundle lacks") as told:
        Bundle.open(path)
    assert "\x1b" not in str(told.value)
