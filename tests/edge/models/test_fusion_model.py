"""The fusion model: what is absent cannot reach an output, and configurations that disagree are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO
from tests.edge.models.fusion_cases import (
    GRID_IO,
    KINDS,
    LABS,
    RESNET,
    SHAKES,
    VECTOR_IO,
    WORDS,
    build_model,
    draw_inputs,
    draw_states,
    io_of,
)

CAMERA = {"feature": "image", "tensor": "camera", "stream": "camera", "shape": [1, 3, 32, 48]}
LIDAR = {
    "feature": "lidar_view",
    "tensor": "lidar",
    "stream": "lidar",
    "camera": "camera",
    "shape": [1, 4, 32, 48],
}
WIDE_LIDAR = {**LIDAR, "shape": [1, 4, 64, 96]}
AUDIO = {"feature": "logmel", "tensor": "audio", "stream": "audio", "shape": [1, 1, 20, 30]}
GRID = {
    "decoder": "grid",
    "tensor": "objects",
    "distance_tensor": "distance",
    "camera": "camera",
    "classes": ["a", "b"],
}
EVENTS = {"decoder": "events", "tensor": "events", "classes": ["siren", "horn", "bell"]}
SMALL = {"embedding": 8, "hidden": [8, 16], "depths": [1, 1]}
STREAMS = ("camera", "lidar", "audio")


def model_io(
    inputs: tuple[dict[str, Any], ...] = (CAMERA, LIDAR, AUDIO),
    outputs: tuple[dict[str, Any], ...] = (GRID, EVENTS),
    streams: tuple[str, ...] = STREAMS,
) -> ModelIO:
    present = {"feature": "present", "streams": streams}
    return ModelIO.model_validate({"schema": 1, "inputs": (*inputs, present), "outputs": outputs})


def config(streams: tuple[str, ...] = STREAMS, **changes: Any) -> FusionModelConfig:
    return FusionModelConfig.model_validate(
        {"encoders": {name: {**SMALL, **changes} for name in streams}, "fusion": {"channels": 16}}
    )


def build(io: ModelIO | None = None, model_config: FusionModelConfig | None = None) -> FusionModel:
    torch.manual_seed(0)
    model = FusionModel(model_config or config(), io or model_io()).eval()
    for placeholder in placeholders(model).values():
        torch.nn.init.normal_(placeholder)  # as if trained
    return model


def placeholders(model: FusionModel) -> dict[str, nn.Parameter]:
    """By stream."""
    return {name: model.get_parameter(f"branches.{name}.placeholder") for name in model.branches}


def tensors(batch: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 32, 48), (4, 32, 48), (1, 20, 30)]
    return [torch.randn(batch, *shape, generator=generator) for shape in shapes]


def test_outputs_are_those_of_io_yaml() -> None:
    outputs = build()(*tensors(2), torch.ones(2, 3))
    assert [tuple(o.shape) for o in outputs] == [(2, 3, 4, 6), (2, 1, 4, 6), (2, 3)]


def test_a_class_output_needs_no_grid() -> None:
    digit = {"decoder": "softmax", "tensor": "digit", "classes": ["0", "1"]}
    io = model_io((CAMERA, AUDIO), (digit,), ("camera", "audio"))
    model = build(io, config(("camera", "audio")))
    camera, _, audio = tensors(3)
    assert [tuple(o.shape) for o in model(camera, audio, torch.ones(3, 2))] == [(3, 2)]


@pytest.mark.parametrize("missing", range(3))
def test_an_absent_modality_cannot_reach_an_output_but_its_placeholder_does(missing: int) -> None:
    model = build()
    present = torch.ones(1, 3)
    present[0, missing] = 0
    first, other = tensors(1, seed=1), tensors(1, seed=2)
    changed = [*first[:missing], other[missing], *first[missing + 1 :]]
    with torch.no_grad():
        before, after = model(*first, present), model(*changed, present)
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert not torch.equal(model(*first, torch.ones(1, 3))[0], model(*changed, torch.ones(1, 3))[0])
        placeholders(model)[STREAMS[missing]].add_(1.0)
        assert not torch.allclose(model(*first, present)[0], before[0])


def test_the_placeholder_does_not_matter_where_everything_is_present() -> None:
    model = build()
    inputs = (*tensors(1), torch.ones(1, 3))
    with torch.no_grad():
        before = model(*inputs)
        for placeholder in placeholders(model).values():
            placeholder.add_(1.0)
        assert all(torch.equal(a, b) for a, b in zip(before, model(*inputs), strict=True))


def test_states_may_differ_within_a_batch() -> None:
    model, inputs = build(), tensors(2)
    present = torch.tensor([[1.0, 1, 1], [0, 1, 0]])
    with torch.no_grad():
        together = model(*inputs, present)
        for row in range(2):
            alone = model(*(x[row : row + 1] for x in inputs), present[row : row + 1])
            assert all(torch.allclose(a[row], b[0], atol=1e-5) for a, b in zip(together, alone, strict=True))


def test_placeholders_are_trained() -> None:
    model = build().train()
    present = torch.tensor([[1.0, 1, 0], [1, 1, 0]])
    torch.stack([o.sum() for o in model(*tensors(2), present)]).sum().backward()
    audio, camera = (placeholders(model)[name].grad for name in ("audio", "camera"))
    assert audio is not None
    assert camera is not None
    assert audio.abs().sum() > 0
    assert camera.abs().sum() == 0


@pytest.mark.parametrize(
    ("inputs", "streams", "encoders", "problem", "remedy"),
    [
        ((CAMERA, LIDAR, AUDIO), STREAMS, ("camera", "lidar"), "feeds 'audio', for which", "add encoders.audio"),
        ((CAMERA, AUDIO), ("camera", "audio"), STREAMS, "encoder for 'lidar', which io.yaml does not feed", "'lidar'"),
        ((CAMERA, AUDIO), ("audio", "camera"), ("camera", "audio"), r"feeds \['camera', 'audio'\] and", "same order"),
        ((AUDIO,), ("audio",), ("audio",), "no image and no lidar view", "of one size"),
        (
            (CAMERA, {**LIDAR, "shape": [1, 4, 64, 96]}),
            ("camera", "lidar"),
            ("camera", "lidar"),
            "views of",
            "of one size",
        ),
    ],
)
def test_configurations_that_disagree_are_refused(
    inputs: tuple[dict[str, Any], ...], streams: tuple[str, ...], encoders: tuple[str, ...], problem: str, remedy: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as refused:
        FusionModel(config(encoders), model_io(inputs, streams=streams))
    assert remedy in refused.value.remedy


def test_a_grid_needs_encoders_of_its_stride() -> None:
    deep = config(hidden=[8, 16, 16], depths=[1, 1, 1])
    with pytest.raises(ConfigError, match="encoder of 'camera' makes a map of 2x3 cells, the grid output needs 4x6"):
        FusionModel(deep, model_io())


@pytest.mark.parametrize("changes", [{"depths": [1]}, {"hidden": [], "depths": []}, {"depths": [1, 0]}])
def test_an_encoder_needs_one_depth_a_stage(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"depths|hidden"):
        config(**changes)


def test_an_output_without_a_head_is_refused() -> None:
    with pytest.raises(ConfigError, match="no head makes"):
        FusionModel(config(), model_io(outputs=({"decoder": "raw", "tensor": "raw"},)))


def test_what_the_fusion_does_not_read_it_does_not_hold() -> None:
    """A fusion that gives an absent modality no weight needs no placeholder for it."""
    held = {kind: "branches.labs.placeholder" in build_model(VECTOR_IO, kind).state_dict() for kind in KINDS}
    assert held == {kind: kind == "channel_mixing" for kind in KINDS}


@pytest.mark.parametrize("io", [VECTOR_IO, GRID_IO], ids=["vector", "grid"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_fusion_lets_an_absent_modality_through(kind: str, io: ModelIO) -> None:
    model, inputs, other = build_model(io, kind), draw_inputs(io, 4), draw_inputs(io, 4, seed=1)
    present = draw_states(4, 3, seed=3)
    masks = [present[:, i].reshape(-1, *[1] * (x.dim() - 1)) for i, x in enumerate(inputs[:-1])]
    mixed = [torch.where(mask > 0, a, b) for a, b, mask in zip(inputs, other, masks, strict=False)]
    with torch.no_grad():
        found, again = model(*inputs[:-1], present), model(*mixed, present)
        composed = model.answers(model.fuse(model.branch_features(*mixed, present), present))
        assert all(torch.equal(a, b) and a.isfinite().all() for a, b in zip(found, again, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(composed, again, strict=True))
        assert not torch.equal(model(*inputs)[0], found[0])


def test_maps_keep_their_places_where_the_fusion_reads_them() -> None:
    shapes = {
        kind: [tuple(f.shape[1:]) for f in build_model(VECTOR_IO, kind).branch_features(*draw_inputs(VECTOR_IO, 2))]
        for kind in ("gated_residual", "cross_attention")
    }
    assert shapes["gated_residual"] == [(16, 1, 1)] * 3
    assert shapes["cross_attention"] == [(16, 2, 3), (16, 3, 4), (16, 1, 1)]


def test_one_modality_is_enough() -> None:
    io = io_of(LABS)
    for kind in KINDS:
        (logits,) = build_model(io, kind)(*draw_inputs(io, 2))
        assert logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("item", "encoder", "problem", "remedy"),
    [
        (WORDS, {"kind": "table"}, "'words' is a table, which does not read the feature 'tokens'", "the kind text"),
        (CAMERA, {"kind": "series"}, "'camera' is a series, which does not read the feature 'image'", "resnet"),
        (LABS, RESNET, "'labs' is a resnet, which does not read the feature 'tensor'", "the kind table"),
        (SHAKES, {"kind": "table"}, "'shakes' is a table, which does not read the feature 'series'", "the kind series"),
    ],
)
def test_an_encoder_that_cannot_read_a_modality_is_refused(
    item: dict[str, Any], encoder: dict[str, Any], problem: str, remedy: str
) -> None:
    wrong = FusionModelConfig.model_validate({"encoders": {item["stream"]: encoder}})
    with pytest.raises(ConfigError, match=problem) as refused:
        FusionModel(wrong, io_of(item))
    assert remedy in refused.value.remedy


def test_an_encoder_without_a_kind_is_a_resnet_and_an_unknown_one_is_named() -> None:
    assert config(("camera",)).encoders["camera"].kind == "resnet"
    with pytest.raises(ValueError, match=r"'lstm'.*'series'"):
        FusionModelConfig.model_validate({"encoders": {"shakes": {"kind": "lstm"}}})


def test_weights_of_the_first_layout_load() -> None:
    """Names and shapes of a checkpoint that was written when there was one kind of encoder and of fusion."""
    lines = (Path(__file__).parent / "first_layout.txt").read_text(encoding="utf-8").splitlines()
    shapes = {name: json.loads(shape) for name, shape in (line.split(" ", 1) for line in lines)}
    io = model_io((CAMERA, AUDIO), streams=("camera", "audio"))
    model = FusionModel(config(("camera", "audio")), io)
    missing, unexpected = model.load_state_dict({name: torch.ones(shape) for name, shape in shapes.items()})
    assert not missing and not unexpected
    assert all((value == 1).all() for value in model.state_dict().values())
