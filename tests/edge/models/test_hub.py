"""Fusion models saved and loaded as folders, and what their card tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file

from edge.models.fusion_model import FusionModel
from edge.models.hub_document import ModelProvenance
from edge.runtime.errors import ModelError
from tests.edge.models.small_transformers import fusion_model, tensors, write_bert

if TYPE_CHECKING:
    from pathlib import Path

PROVENANCE = ModelProvenance(
    project="ward",
    project_sha256="ab" * 32,
    data="generated reports",
    samples={"train": 40, "test": 10},
    metrics={"all": {"score": 91.25}, "no_report": {"score": 60.5}},
    training={"epochs": 3, "schedule": "one | cycle"},
    seconds=12.0,
    params=1234,
    macs=5678,
    versions={"torch": "2.13.0"},
    licence="To be used as its owner says.",
)


def test_a_saved_model_loads_and_computes_the_same(tmp_path: Path) -> None:
    model = fusion_model()
    model.provenance = PROVENANCE
    model.save_pretrained(tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    loaded = FusionModel.from_pretrained(tmp_path / "model")
    assert not loaded.training
    assert loaded.provenance == PROVENANCE
    assert loaded.modalities == model.modalities
    assert torch.equal(loaded(*tensors(3))[0], model(*tensors(3))[0])


def test_the_folder_of_pretrained_weights_is_not_needed_again(tmp_path: Path) -> None:
    write_bert(tmp_path / "bert")
    model = fusion_model(report={"pretrained": str(tmp_path / "bert"), "hidden": None, "layers": None, "heads": None})
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "bert").rename(tmp_path / "gone")
    loaded = FusionModel.from_pretrained(str(tmp_path / "model"))
    assert torch.equal(loaded(*tensors(3))[0], model(*tensors(3))[0])


def test_the_card_tells_what_was_recorded(tmp_path: Path) -> None:
    model = fusion_model()
    model.provenance = PROVENANCE
    model.save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "edge-fusion"
    assert "multimodal" in card.data.tags
    for told in ("# ward", "generated reports", "train 40, test 10", "| no_report | 60.50 |", "ab" * 32):
        assert told in card.text
    for told in ("| report | text |", "1,234 weights", "| torch | 2.13.0 |", "as its owner says", r"`one \| cycle`"):
        assert told in card.text
    assert "| report | tokens | 1 x 8 |" in card.text


def test_a_model_without_provenance_says_so(tmp_path: Path) -> None:
    fusion_model().save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "Not recorded." in text
    assert "Scores" not in text


def test_saving_again_replaces_the_card_and_leaves_other_files(tmp_path: Path) -> None:
    model = fusion_model()
    model.save_pretrained(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    model.provenance = PROVENANCE
    model.save_pretrained(tmp_path)
    assert "# ward" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_pushing_uploads_the_same_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network: what would be uploaded is looked at in place."""
    uploaded: dict[str, set[str]] = {}

    def create(_: HfApi, repo_id: str, **__: Any) -> Any:
        return type("Repo", (), {"repo_id": repo_id})()

    def upload(_: HfApi, repo_id: str, folder_path: Path, **__: Any) -> str:
        uploaded[repo_id] = {p.name for p in folder_path.iterdir()}
        return "address"

    monkeypatch.setattr(HfApi, "create_repo", create)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    assert fusion_model().push_to_hub("owner/model") == "address"
    assert uploaded == {"owner/model": {"config.json", "model.safetensors", "README.md"}}


def test_weights_of_another_architecture_are_refused_by_the_first_key(tmp_path: Path) -> None:
    fusion_model().save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    content["model"]["encoders"]["sound"]["mlp"] = 24
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"'branches\.sound\.encoder\.net\.layers\.0\.mlp\.fc1\.weight' is \(64, 16\)"):
        FusionModel.from_pretrained(tmp_path)


def test_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    fusion_model().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    found = load_file(path)
    save_file({name: t for name, t in found.items() if name != "heads.0.logits.bias"}, path)
    with pytest.raises(ModelError, match=r"'heads\.0\.logits\.bias' is None, not \(3,\)"):
        FusionModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no config of a fusion model"),
        ("[]", "no config of a fusion model"),
        ('{"model_type": "bert", "hidden_size": 16}', "no config of a fusion model"),
        ('{"schema": 2, "model": {}, "io": {"schema": 1, "inputs": [], "outputs": []}}', "schema"),
        (None, "config.json cannot be read"),
    ],
)
def test_a_folder_of_something_else_is_refused(content: str | None, told: str, tmp_path: Path) -> None:
    fusion_model().save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=told):
        FusionModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("kind", "rnn", "'rnn' does not match|Input tag 'rnn'"),
        ("depth", 3, r"encoders\.sound\.ast\.depth: Extra inputs"),
        ("pretrained", "/etc", "wants the encoder of 'sound' read from '/etc'"),
    ],
)
def test_a_config_with_other_keys_is_refused(key: str, value: Any, told: str, tmp_path: Path) -> None:
    """Also one that would make this machine read a folder of the sender's choice."""
    fusion_model().save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    content["model"]["encoders"]["sound"][key] = value
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=told):
        FusionModel.from_pretrained(tmp_path)


def test_a_folder_that_is_not_there_is_refused_without_asking_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no folder"):
        FusionModel.from_pretrained(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"is no folder, and the Hub gives no config\.json"):
        FusionModel.from_pretrained(str(tmp_path / "nothing"))


def test_a_model_of_the_hub_that_is_not_in_the_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="owner/model"):
        FusionModel.from_pretrained("owner/model", cache_dir=tmp_path, local_files_only=True)


def test_a_pruned_model_is_not_saved_under_a_config_that_it_no_longer_fits(tmp_path: Path) -> None:
    model = fusion_model()
    logits = model.get_submodule("heads.0.logits")
    assert isinstance(logits, torch.nn.Linear)
    logits.weight = torch.nn.Parameter(logits.weight.detach()[:2])
    with pytest.raises(ModelError, match=r"'heads\.0\.logits\.weight' is \(2, 16\) and not \(3, 16\)"):
        model.save_pretrained(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
