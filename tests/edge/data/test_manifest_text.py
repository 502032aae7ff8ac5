"""Texts of a manifest: token ids in the dataset, and a text that is too long is named with its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from edge.data.dataset_folder import load_split
from edge.data.prepared import prepare_dataset
from edge.project import Project
from edge.runtime.errors import DataError
from tests.runtime.sources.manifest_files import write_rows

WORDS = ("[PAD]", "[UNK]", "clear", "shadow", "left", "right")
SPLIT_OF = ("train", "validation", "test")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


def reports(folder: Path, tokenizer: Path, texts: list[str], **changes: Any) -> Project:
    """A project on three texts, one a split."""
    rows = [{"id": f"r{i}", "split": SPLIT_OF[i], "text": t, "finding": "yes"} for i, t in enumerate(texts)]
    path = write_rows(folder / "rows.csv", rows, ["id", "split", "text", "finding"])
    rig = {"schema": 1, "anchor": "report", "streams": {"report": {"kind": "text", "rate_hz": 1}}}
    (folder / "rig.yaml").write_text(yaml.safe_dump(rig))
    tokens = {"feature": "tokens", "tensor": "ids", "stream": "report", "shape": [1, 4], "vocabulary": len(WORDS)}
    inputs = [{**tokens, "tokenizer": str(tokenizer), **changes}, {"feature": "present", "streams": ["report"]}]
    outputs = [{"decoder": "softmax", "tensor": "finding", "classes": ["no", "yes"]}]
    return Project.model_validate(
        {
            "schema": 1,
            "name": "reports",
            "io": {"schema": 1, "inputs": inputs, "outputs": outputs},
            "data": {
                "kind": "manifest",
                "path": str(path),
                "rig": str(folder / "rig.yaml"),
                "columns": {"id": "id", "split": "split"},
                "streams": {"report": {"column": "text"}},
                "targets": {"finding": {"column": "finding"}},
            },
            "teacher": {"encoders": {}},
            "student": {"encoders": {}},
            "recipe": {"stages": [{"stage": "quantize"}]},
        }
    )


def test_a_text_becomes_token_ids(tmp_path: Path, tokenizer: Path) -> None:
    project = reports(tmp_path, tokenizer, ["clear left", "shadow  right, left", "clear"])
    folder = prepare_dataset(project, tmp_path / "data")
    (ids,) = load_split(folder, "train").inputs
    assert (ids.dtype, ids.tolist()) == (torch.int64, [[2, 4, 0, 0]])
    assert load_split(folder, "validation").inputs[0].tolist() == [[3, 5, 1, 4]]


def test_a_text_that_is_too_long_is_named_with_its_row(tmp_path: Path, tokenizer: Path) -> None:
    texts = ["clear left", "clear", "shadow left shadow right shadow"]
    with pytest.raises(
        DataError, match=r"rows\.csv: row 3, column 'text': .*the text has 5 tokens.*takes 4"
    ) as refused:
        prepare_dataset(reports(tmp_path, tokenizer, texts), tmp_path / "data")
    assert "too_long: cut" in refused.value.remedy
    folder = prepare_dataset(reports(tmp_path, tokenizer, texts, too_long="cut"), tmp_path / "data")
    assert load_split(folder, "test").inputs[0].tolist() == [[3, 4, 3, 5]]


def test_another_tokenizer_is_another_dataset(tmp_path: Path, tokenizer: Path) -> None:
    project = reports(tmp_path, tokenizer, ["clear left", "clear", "left"])
    folder = prepare_dataset(project, tmp_path / "data")
    tokenizer.write_text(tokenizer.read_text().replace('"left": 4', '"left": 5').replace('"right": 5', '"right": 4'))
    prepare_dataset(project, tmp_path / "data")
    assert load_split(folder, "train").inputs[0].tolist() == [[2, 5, 0, 0]]
