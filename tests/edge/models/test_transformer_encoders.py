"""Encoders that are transformers: their maps, what padding and absence do, and that all of it compresses and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx, run_graph
from edge.compress.prune.slimming import PruneConfig, apply, plan
from edge.compress.quantize.pt2e import export_float, quantize_static
from edge.models.encoders.choice import build_encoder
from edge.models.encoders.spectrogram import SpectrogramEncoder, SpectrogramEncoderConfig
from edge.models.encoders.text import TextEncoder, TextEncoderConfig
from edge.models.encoders.vit import ViTEncoder, ViTEncoderConfig
from edge.models.fusion_model import FusionModel
from edge.runtime.errors import ConfigError
from tests.edge.models.small_transformers import (
    LENGTH,
    VOCABULARY,
    WIDTHS,
    all_io,
    camera_input,
    fusion_config,
    fusion_model,
    report_input,
    sound_input,
    tensors,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

NAMES = ("camera", "sound", "report", "present")


def text_encoder(**changes: Any) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(report_input(), TextEncoderConfig(**{**WIDTHS, **changes})).eval()


def test_patches_keep_their_places() -> None:
    """With its blocks gone, a ViT is its patch embedding plus positions: a changed patch changes its cell alone."""
    encoder = ViTEncoder(camera_input(), ViTEncoderConfig(patch=8, **WIDTHS)).eval()
    encoder.net.layers = torch.nn.ModuleList()
    picture = torch.zeros(1, 3, 16, 24)
    changed = picture.clone()
    changed[..., 8:16, 16:24] = 1.0
    with torch.no_grad():
        different = (encoder(changed) - encoder(picture)).abs().amax(1)[0] > 1e-6
    assert encoder.out_channels == 16
    assert different.tolist() == [[False, False, False], [False, False, True]]


def test_bands_are_rows_and_frames_columns_of_a_spectrogram() -> None:
    torch.manual_seed(0)
    encoder = SpectrogramEncoder(sound_input(), SpectrogramEncoderConfig(patch=8, stride=4, **WIDTHS)).eval()
    encoder.net.layers = torch.nn.ModuleList()
    sound = torch.zeros(1, 1, 16, 24)
    changed = sound.clone()
    changed[0, 0, 15, 0] = 1.0  # the highest band of the first frame
    with torch.no_grad():
        found = encoder(sound)
        different = (encoder(changed) - found).abs().amax(1)[0] > 1e-6
    assert found.shape == (1, 16, 3, 5)
    assert different.nonzero().tolist() == [[2, 0]]


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_text_is_a_row_of_tokens(family: str) -> None:
    ids = tensors(3)[2]
    assert text_encoder(family=family)(ids).shape == (3, 16, 1, LENGTH)


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, LENGTH), seed=st.integers(0, 99))
def test_padding_changes_nothing(count: int, seed: int) -> None:
    """A padded text gives the tokens, and the mean over places, that the text gives alone."""
    ids = torch.randint(1, VOCABULARY, (1, count), generator=torch.Generator().manual_seed(seed))
    padded = torch.nn.functional.pad(ids, (0, LENGTH - count))
    encoder = ENCODER
    with torch.no_grad():
        alone = encoder.net(input_ids=ids).last_hidden_state[0].T
        found = encoder(padded)[0, :, 0]
    torch.testing.assert_close(found[:, :count], alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.mean(1), alone.mean(1), atol=1e-5, rtol=1e-5)


ENCODER = text_encoder()


def test_an_absent_text_is_finite_and_cannot_reach_an_output() -> None:
    """It is fed as zeros: attention over nothing would be NaN, and NaN times zero is NaN."""
    model, (camera, sound, ids, present) = fusion_model(), tensors(2)
    present[:, 2] = 0
    with torch.no_grad():
        empty, other = model(camera, sound, torch.zeros_like(ids), present)[0], model(camera, sound, ids, present)[0]
    assert bool(empty.isfinite().all())
    torch.testing.assert_close(empty, other)


def test_weights_start_from_the_seed() -> None:
    first, again, other = (fusion_model(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        first["branches.report.encoder.net.embeddings.word_embeddings.weight"],
        other["branches.report.encoder.net.embeddings.word_embeddings.weight"],
    )


def test_a_saved_architecture_builds_the_same_model() -> None:
    model = fusion_model(camera={"mlp": 20, "activation": "relu", "dropout": 0.1}, report={"family": "distilbert"})
    again = FusionModel(model.architecture, all_io()).eval()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(*tensors(2))[0], model(*tensors(2))[0])
    assert again.architecture == model.architecture


@pytest.mark.parametrize(
    ("stream", "changes", "told"),
    [
        ("camera", {"patch": 7}, "patches of 7 pixels do not tile the 24 x 16 tensor of 'camera'"),
        ("sound", {"patch": 17}, "a patch of 17 is larger than the 16 x 24 spectrogram of 'sound'"),
    ],
)
def test_patches_that_do_not_fit_are_refused(stream: str, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        FusionModel(fusion_config(**{stream: changes}), all_io())


def test_a_text_encoder_does_not_read_pictures() -> None:
    with pytest.raises(ConfigError, match="'camera' is a text, which does not read the feature 'image'"):
        build_encoder(TextEncoderConfig(), camera_input())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"heads": 3}, "3 heads do not divide 16"),
        ({"lora": {"rank": 2}}, "tuning is 'full'"),
        ({"tuning": "lora", "lora": {"rank": 0}}, "rank"),
        ({"activation": "swish9"}, "activation"),
        ({"stride": 3, "band_stride": 4}, "`stride` says 3"),
    ],
)
def test_contradicting_settings_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SpectrogramEncoderConfig.model_validate({**WIDTHS, **changes})


@pytest.fixture(scope="module")
def quantized() -> tuple[FusionModel, Any, tuple[Tensor, ...]]:
    model = fusion_model()
    example = tensors(6)
    return model, quantize_static(model, example, [example]), example


def test_the_exported_model_takes_any_batch() -> None:
    model = fusion_model()
    graph = export_float(model, tensors(2))
    for batch in (1, 5):
        torch.testing.assert_close(graph(*tensors(batch, 1))[0], model(*tensors(batch, 1))[0], atol=1e-5, rtol=1e-5)


def test_linear_layers_become_int8_and_embeddings_stay_float(
    quantized: tuple[FusionModel, Any, tuple[Tensor, ...]],
) -> None:
    model, int8, example = quantized
    with torch.no_grad():
        expected, found = model(*example)[0], int8(*example)[0]
    assert float((found - expected).abs().max()) < 0.2 * float(expected.std())
    stored = dict(int8.named_buffers()) | dict(int8.named_parameters())
    levels = sum(t.numel() for t in stored.values() if t.dtype == torch.int8)
    linears = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d))
    assert levels == linears


@pytest.fixture(scope="module")
def graph(quantized: tuple[FusionModel, Any, tuple[Tensor, ...]]) -> onnx.ModelProto:
    _, int8, example = quantized
    return export_onnx(int8, tuple(t[:1] for t in example), NAMES, ["verdict"])


@pytest.mark.parametrize("write", [write_s8, lambda graph: write_u8(write_s8(graph))], ids=["s8", "u8"])
def test_int8_graphs_run_on_token_ids(
    quantized: tuple[FusionModel, Any, tuple[Tensor, ...]],
    graph: onnx.ModelProto,
    write: Callable[[onnx.ModelProto], onnx.ModelProto],
) -> None:
    _, int8, example = quantized
    written, one = write(graph), tuple(t[:1] for t in example)
    kinds = {i.name: i.type.tensor_type.elem_type for i in written.graph.input}
    assert kinds["report"] == onnx.TensorProto.INT64
    assert "IsNaN" not in {node.op_type for node in written.graph.node}
    found = run_graph(written, {name: t.numpy() for name, t in zip(NAMES, one, strict=True)})[0]
    expected = int8(*one)[0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_heads_and_mlps_are_pruned_and_features_between_blocks_stay() -> None:
    model, example = fusion_model(), tensors(2)
    found = plan(model, example, PruneConfig(ratio=0.5, align=1, minimum=1, importance="norm", keep=("fusion.*",)))
    slim = apply(model, found)
    assert slim(*example)[0].shape == (2, 3)
    widths = {name: tuple(t.shape) for name, t in slim.state_dict().items()}
    assert widths["branches.camera.encoder.net.layers.0.attention.q_proj.weight"] == (8, 16)
    assert widths["branches.camera.encoder.net.layers.0.mlp.fc1.weight"] == (32, 16)
    assert widths["branches.sound.encoder.net.layers.0.mlp.fc1.weight"] == (32, 16)
    assert widths["branches.report.encoder.net.encoder.layer.0.attention.self.query.weight"] == (8, 16)
    assert widths["branches.report.encoder.net.encoder.layer.0.intermediate.dense.weight"] == (32, 16)
