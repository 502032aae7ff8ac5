"""Every kind of encoder is pretrained: its map has the shape that decoders and projection heads count on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edge.compress.samples import SampleSet
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.runtime.model_io import ModelIO
from edge.training.pretraining.kept import encoder_weights
from edge.training.pretraining.running import pretrain
from tests.edge.models.small_transformers import CAMERA, REPORT, SOUND, VERDICT, WIDTHS
from tests.edge.training.pretraining.cases import SMALL, small_config

LABS = {"feature": "tensor", "tensor": "labs", "stream": "labs", "shape": [1, 5], "fields": list("abcde")}
SHAFT = {"feature": "series", "tensor": "shaft", "stream": "shaft", "shape": [1, 2, 18], "fields": ["x", "y"]}
INPUTS: dict[str, dict[str, Any]] = {
    "camera": CAMERA,
    "sound": SOUND,
    "report": REPORT,
    "labs": {**LABS, "mean": [0.0] * 5, "std": [1.0] * 5},
    "shaft": {**SHAFT, "mean": [0.0] * 2, "std": [1.0] * 2},
}
ENCODERS: dict[str, dict[str, Any]] = {
    "camera": {"kind": "vit", "patch": 8, **WIDTHS},
    "sound": {"kind": "ast", "patch": 8, "stride": 8, **WIDTHS},
    "report": {"kind": "text", **WIDTHS},
    "labs": {"kind": "table", "hidden": [8]},
    "shaft": {"kind": "series", "hidden": [8, 8], "kernel": 3},
}
MASKS = {"report": {"kind": "tokens", "mask_id": 4}}
BATCH = 16


def samples(streams: list[str]) -> SampleSet:
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(
        torch.randint(1, 30, (32, *INPUTS[s]["shape"][1:]), generator=generator)
        if s == "report"
        else torch.randn(32, *INPUTS[s]["shape"][1:], generator=generator)
        for s in streams
    )
    ids = tuple(map(str, range(32)))
    return SampleSet("train", ids, ids, inputs, ())


@pytest.mark.parametrize("kinds", [["vit", "ast"], ["text", "table", "series"], ["resnet", "text"]])
def test_every_encoder_learns_from_both_losses(kinds: list[str]) -> None:
    of_kind = {config["kind"]: stream for stream, config in ENCODERS.items()} | {"resnet": "camera"}
    streams = [of_kind[kind] for kind in kinds]
    encoders = {of_kind[kind]: SMALL if kind == "resnet" else ENCODERS[of_kind[kind]] for kind in kinds}
    present = {"feature": "present", "streams": streams}
    io = ModelIO.model_validate({"schema": 1, "inputs": [*(INPUTS[s] for s in streams), present], "outputs": [VERDICT]})
    torch.manual_seed(0)
    model = FusionModel(FusionModelConfig.model_validate({"encoders": encoders, "fusion": {"channels": 8}}), io)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = small_config(masks={s: m for s, m in MASKS.items() if s in streams})
    record = pretrain(model, io, samples(streams), config)
    pairs = [f"{a} ~ {b}" for i, a in enumerate(streams) for b in streams[i + 1 :]]
    assert list(record.history.last) == [*streams, *pairs]
    moved = {s: _moved(before, model, s) for s in streams}
    assert all(share > 0.5 for share in moved.values()), moved


def _moved(before: dict[str, torch.Tensor], model: FusionModel, stream: str) -> float:
    """Share of an encoder's tensors that pretraining changed."""
    own = [name for name in encoder_weights(model) if name.startswith(f"branches.{stream}.")]
    after = model.state_dict()
    return sum(not torch.equal(before[name], after[name]) for name in own) / len(own)
