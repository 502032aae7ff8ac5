"""Weights from folders in Hugging Face's layout: the same function as transformers', or a refusal that says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import BertModel

from edge.models.encoders.pretrained import origins_of
from edge.models.encoders.spectrogram import SpectrogramEncoder, SpectrogramEncoderConfig
from edge.models.encoders.text import TextEncoder, TextEncoderConfig
from edge.models.encoders.transformer import pretrained_digests
from edge.models.encoders.vit import ViTEncoder, ViTEncoderConfig
from edge.project import load_project, preset_path
from edge.runtime.errors import ConfigError, EdgeError, ModelError
from tests.edge.models.small_transformers import (
    BERT_WIDTHS,
    VOCABULARY,
    camera_input,
    fusion_model,
    report_input,
    sound_input,
    tensors,
    write_ast,
    write_bert,
    write_distilbert,
    write_vit,
)

if TYPE_CHECKING:
    from pathlib import Path


def vit(folder: Path, *shape: int, **changes: Any) -> ViTEncoder:
    return ViTEncoder(camera_input(*(shape or (1, 3, 16, 16))), ViTEncoderConfig(pretrained=folder, **changes)).eval()


def text(folder: Path, **changes: Any) -> TextEncoder:
    return TextEncoder(report_input(**changes), TextEncoderConfig(pretrained=folder)).eval()


@torch.no_grad()
def test_a_vit_computes_what_the_saved_one_does(tmp_path: Path) -> None:
    saved, picture = write_vit(tmp_path), torch.randn(2, 3, 16, 16)
    expected = saved.vit(picture).last_hidden_state[:, 1:]
    encoder = vit(tmp_path)
    torch.testing.assert_close(encoder(picture).flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)
    assert encoder.origin is not None
    assert encoder.origin.left_out == ("classifier.bias", "classifier.weight")
    assert encoder.origin.changed == ()


@torch.no_grad()
def test_a_spectrogram_transformer_computes_what_the_saved_one_does(tmp_path: Path) -> None:
    saved, sound = write_ast(tmp_path), torch.randn(2, 1, 16, 24)
    expected = saved.audio_spectrogram_transformer(sound[:, 0].transpose(1, 2)).last_hidden_state[:, 2:]
    encoder = SpectrogramEncoder(sound_input(), SpectrogramEncoderConfig(pretrained=tmp_path)).eval()
    torch.testing.assert_close(encoder(sound).flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("write", [write_bert, write_distilbert])
@torch.no_grad()
def test_a_text_model_computes_what_the_saved_one_does(write: Any, tmp_path: Path) -> None:
    saved, ids = write(tmp_path), tensors(4)[2]
    kept = ids != 0
    expected = saved.base_model(input_ids=ids, attention_mask=kept.long()).last_hidden_state
    found = text(tmp_path)(ids)[:, :, 0].transpose(1, 2)
    torch.testing.assert_close(found[kept], expected[kept], atol=1e-5, rtol=1e-5)


def test_folders_of_older_releases_load(tmp_path: Path) -> None:
    """Before transformers 5 a ViT's projections had other names; most folders that people have are of that kind."""
    saved = write_vit(tmp_path)
    names = {
        "vit.layers.0.attention.q_proj": "vit.encoder.layer.0.attention.attention.query",
        "vit.layers.0.attention.k_proj": "vit.encoder.layer.0.attention.attention.key",
        "vit.layers.0.attention.v_proj": "vit.encoder.layer.0.attention.attention.value",
        "vit.layers.0.attention.o_proj": "vit.encoder.layer.0.attention.output.dense",
        "vit.layers.0.mlp.fc1": "vit.encoder.layer.0.intermediate.dense",
        "vit.layers.0.mlp.fc2": "vit.encoder.layer.0.output.dense",
        "vit.layers.0": "vit.encoder.layer.0",
    }
    old = {}
    for name, tensor in saved.state_dict().items():
        new = next((name.replace(now, was) for now, was in names.items() if name.startswith(now)), name)
        old[new] = tensor.contiguous()
    save_file(old, tmp_path / "model.safetensors", metadata={"format": "pt"})
    encoder = vit(tmp_path)
    torch.testing.assert_close(
        encoder.net.layers[0].attention.q_proj.weight, saved.vit.layers[0].attention.q_proj.weight
    )


@torch.no_grad()
def test_a_vit_reads_larger_pictures_as_transformers_would(tmp_path: Path) -> None:
    saved, picture = write_vit(tmp_path), torch.randn(2, 3, 24, 40)
    expected = saved.vit(picture, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
    encoder = vit(tmp_path, 1, 3, 24, 40)
    torch.testing.assert_close(encoder(picture).flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)
    assert encoder.origin is not None
    assert encoder.origin.changed == ("position embeddings resized from 16 x 16 to 40 x 24 pixels (bicubic)",)


def test_a_folder_sets_the_widths_and_the_saved_architecture_needs_none(tmp_path: Path) -> None:
    write_vit(tmp_path, hidden_size=24, intermediate_size=40, hidden_act="relu")
    encoder = vit(tmp_path)
    assert encoder.out_channels == 24
    architecture = encoder.architecture
    assert (architecture.mlp, architecture.activation, architecture.pretrained) == (40, "relu", None)
    assert ViTEncoder(camera_input(1, 3, 16, 16), architecture).net.config.intermediate_size == 40


def test_origins_tell_a_fusion_model_s_encoders_apart(tmp_path: Path) -> None:
    write_bert(tmp_path)
    model = fusion_model(report={"pretrained": str(tmp_path), "hidden": 16})
    assert set(origins_of(model)) == {"report"}
    digests = pretrained_digests(model.config.encoders)
    assert digests == {"report": origins_of(model)["report"].sha256}
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, tmp_path / "model.safetensors")
    assert pretrained_digests(model.config.encoders) != digests


def test_half_precision_weights_are_read_as_float32(tmp_path: Path) -> None:
    write_bert(tmp_path).half().save_pretrained(tmp_path)
    assert {p.dtype for p in text(tmp_path).parameters()} == {torch.float32}


def refusal(kind: type[EdgeError], action: Any) -> str:
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    told = refusal(ConfigError, lambda: vit(tmp_path / "nothing"))
    assert "nothing does not exist" in told
    assert "hf download" in told


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    assert "has no config.json" in refusal(ConfigError, lambda: vit(tmp_path))


def test_pickled_weights_are_refused_with_the_reason(tmp_path: Path) -> None:
    saved = write_vit(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(saved.state_dict(), tmp_path / "pytorch_model.bin")
    told = refusal(ModelError, lambda: vit(tmp_path))
    assert "pytorch_model.bin, which is pickled" in told
    assert "safetensors" in told


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    write_bert(tmp_path)
    assert "describes an architecture 'bert', the encoder takes vit" in refusal(ModelError, lambda: vit(tmp_path))


def test_a_width_that_the_folder_contradicts_is_refused(tmp_path: Path) -> None:
    write_vit(tmp_path)
    told = refusal(ConfigError, lambda: vit(tmp_path, hidden=32))
    assert "'camera' asks for hidden 32" in told
    assert "has 16" in told


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    write_vit(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["vit.layernorm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "no weights for 'layernorm.weight'" in refusal(ModelError, lambda: vit(tmp_path))


def test_weights_of_more_layers_than_the_config_says_are_refused(tmp_path: Path) -> None:
    write_bert(tmp_path, num_hidden_layers=2)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "num_hidden_layers": 1}))
    told = refusal(ModelError, lambda: text(tmp_path))
    assert "encoder.layer.1." in told


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    write_bert(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "intermediate_size": 32}))
    told = refusal(ModelError, lambda: text(tmp_path))
    assert "intermediate.dense" in told
    assert "24" in told
    assert "32" in told


def test_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    write_vit(tmp_path)
    told = refusal(ModelError, lambda: vit(tmp_path, 1, 1, 16, 16))
    assert "takes 3 channels, 'camera' has 1" in told


def test_positions_that_nobody_can_resize_are_refused(tmp_path: Path) -> None:
    write_vit(tmp_path / "wide", image_size=[16, 32])
    assert "not square" in refusal(ModelError, lambda: vit(tmp_path / "wide"))
    write_ast(tmp_path / "sound")
    config = SpectrogramEncoderConfig(pretrained=tmp_path / "sound")
    told = refusal(ModelError, lambda: SpectrogramEncoder(sound_input(1, 1, 16, 32), config))
    assert "16 bands x 24 frames" in told
    assert "[1, 1, 16, 24]" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": [1, 13]}, "reads at most 12 tokens, 'report' has 13"),
        ({"vocabulary": 31}, f"knows {VOCABULARY} tokens"),
    ],
)
def test_a_text_that_the_model_cannot_read_is_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    write_bert(tmp_path)
    assert told in refusal(ModelError, lambda: text(tmp_path, **changes))


@pytest.mark.parametrize(("key", "value", "told"), [("pad_token_id", 1, "pads with"), ("is_decoder", True, "decoder")])
def test_a_text_model_of_another_kind_is_refused(key: str, value: Any, told: str, tmp_path: Path) -> None:
    write_bert(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, key: value}))
    assert told in refusal(ModelError, lambda: text(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", '{"model_type": "vit", "hidden_size": "wide"}'])
def test_a_broken_config_is_refused(content: str, tmp_path: Path) -> None:
    write_vit(tmp_path)
    (tmp_path / "config.json").write_text(content)
    assert "config.json" in refusal(ModelError, lambda: vit(tmp_path))


def test_what_there_is_no_word_for_is_refused(tmp_path: Path) -> None:
    write_vit(tmp_path, hidden_act="tanh")
    assert "has activation 'tanh', which is not known here" in refusal(ModelError, lambda: vit(tmp_path))


def test_a_vit_without_bias_keeps_its_architecture(tmp_path: Path) -> None:
    write_vit(tmp_path, qkv_bias=False)
    encoder = vit(tmp_path)
    assert encoder.architecture.qkv_bias is False
    again = ViTEncoder(camera_input(1, 3, 16, 16), encoder.architecture)
    assert list(again.state_dict()) == list(encoder.state_dict())


def test_folders_in_a_project_are_against_its_file(tmp_path: Path) -> None:
    """And an encoder of another kind than the base's keeps none of its keys; one of the same kind keeps them."""
    encoders = {"camera": {"kind": "vit", "pretrained": "weights/vit"}, "lidar": {"kind": "resnet", "embedding": 8}}
    content = {"base": str(preset_path("street_demo")), "student": {"encoders": encoders}}
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(content))
    project = load_project(tmp_path / "project.yaml")
    assert project.student.encoders["camera"].pretrained == tmp_path / "weights" / "vit"  # type: ignore[union-attr]
    assert set(project.student.encoders) == {"camera", "lidar", "audio"}
    base = load_project(preset_path("street_demo")).student.encoders["lidar"]
    assert project.student.encoders["lidar"] == base.model_copy(update={"embedding": 8})
    assert all(getattr(encoder, "pretrained", None) is None for encoder in project.teacher.encoders.values())


def test_cut_weights_are_refused(tmp_path: Path) -> None:
    write_vit(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert "cannot be loaded" in refusal(ModelError, lambda: vit(tmp_path))


def test_sharded_weights_load(tmp_path: Path) -> None:
    saved = write_bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    saved.save_pretrained(tmp_path, max_shard_size="4KB")
    assert not (tmp_path / "model.safetensors").is_file()
    base = BertModel.from_pretrained(tmp_path, add_pooling_layer=False)
    torch.testing.assert_close(
        text(tmp_path).net.embeddings.word_embeddings.weight, base.embeddings.word_embeddings.weight
    )
    assert base.config.hidden_size == BERT_WIDTHS["hidden_size"]
