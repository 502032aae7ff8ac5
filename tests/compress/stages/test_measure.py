"""What a stage leaves: graphs in every dialect, the torch program, and notes on how well the dialects agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edge.compress.export import run_graph
from edge.compress.program.file import read_program
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.samples import SampleSet
from edge.compress.stages import measure
from edge.compress.stages.measure import MeasuredStage, StageMeasurer
from edge.compress.stages.stage import Artifact, QuantizeStage
from edge.graph.layers import weighted_layers
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.scoring.task import OutputKind

CONFIG = QuantizeStage(quantize=QuantizeConfig(keep_float=("head", "side"), keep_fp32=("side",)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.head, self.side = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        features = self.stem(image) * present[:, 0].reshape(-1, 1, 1, 1)
        return self.head(features).mean((2, 3)), self.side(features).mean((2, 3))


class Nothing:
    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None: ...

    def result(self) -> dict[str, float]:
        return {"score": 50.0}


class Task:
    modalities = ("camera",)

    def __init__(self, *kinds: OutputKind) -> None:
        self.output_kinds = kinds

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        raise AssertionError("nothing is trained here")

    def metric(self) -> Nothing:
        return Nothing()


def samples(split: str) -> SampleSet:
    ids = tuple(f"{split}{i}" for i in range(4))
    images = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(len(split)))
    return SampleSet(split, ids, ids, (images,), (torch.zeros(4),))


def measurer(*kinds: OutputKind) -> StageMeasurer:
    return StageMeasurer(Task(*kinds), samples("validation"), samples("test"), ("image", "present"), ("classes", "far"))


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    torch.manual_seed(0)
    batch = (*samples("train").inputs, torch.ones(4, 1))
    module = quantize_static(Net().eval(), batch, [batch], CONFIG.quantize)
    return Artifact("quantize", module, calibration_digest="sha256:0")


@pytest.fixture(scope="module")
def quantized(artifact: Artifact) -> MeasuredStage:
    return measurer("categorical", "regression")(artifact, CONFIG, 1.0, None)


def test_a_float_stage_has_one_graph_and_no_program() -> None:
    stage = measurer("categorical", "regression")(Artifact("teacher", Net().eval()), None, 1.0, None)
    assert (list(stage.graphs), stage.program, stage.deployed_dialect) == (["fp32"], None, "fp32")
    assert stage.record.bytes == len(stage.deployed)


def test_a_quantized_stage_has_every_dialect(quantized: MeasuredStage) -> None:
    assert list(quantized.graphs) == ["s8", "s8f16", "u8"]
    assert quantized.deployed_dialect == "u8"
    assert quantized.record.bytes == len(quantized.graphs["u8"])
    assert quantized.record.notes["bytes"] == {name: len(graph) for name, graph in quantized.graphs.items()}
    for dialect in ("s8f16", "u8"):
        assert quantized.record.notes[f"{dialect}_agrees_with_s8"] >= 0.75


def test_what_int8_leaves_is_fp16_but_for_what_is_kept(quantized: MeasuredStage) -> None:
    found = {
        dialect: {x.name: x.precision for x in weighted_layers(onnx.load_model_from_string(graph))}
        for dialect, graph in quantized.graphs.items()
    }
    encoder = {"stem.0": "int8", "stem.2": "int8"}
    assert found["s8"] == encoder | {"head": "fp32", "side": "fp32"}
    assert found["s8f16"] == encoder | {"head": "fp16", "side": "fp32"}


def test_the_program_answers_as_the_graph_does(quantized: MeasuredStage, artifact: Artifact) -> None:
    assert quantized.program is not None
    program = read_program(quantized.program, "program.pt2")
    assert (program.input_names, program.output_names) == (("image", "present"), ("classes", "far"))
    example = measurer("categorical", "regression").example_inputs()
    given: dict[str, Any] = {"image": example[0].numpy(), "present": example[1].numpy()}
    graph = run_graph(onnx.load_model_from_string(quantized.graphs["s8"]), given)
    for answer, wanted in zip(program.exported.module()(*example), graph, strict=True):
        np.testing.assert_allclose(answer.detach().numpy(), wanted, atol=0.02 * np.abs(wanted).max())


def test_where_nothing_is_decided_there_is_no_agreement_to_note(artifact: Artifact) -> None:
    notes = measurer("regression", "regression")(artifact, CONFIG, 1.0, None).record.notes
    assert not [name for name in notes if "agrees" in name]


def test_a_program_that_no_file_may_hold_is_noted_and_stops_nothing(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> bytes:
        raise ModelError("it calls 'torch.ops.mine.op.default'", "take another")

    monkeypatch.setattr(measure, "pack_program", refuse)
    stage = measurer("categorical", "regression")(artifact, CONFIG, 1.0, None)
    assert stage.program is None
    assert list(stage.graphs) == ["s8", "s8f16", "u8"]
    assert stage.record.notes["no_program"] == "it calls 'torch.ops.mine.op.default'"
    assert "no torch program for Torch-TensorRT: it calls" in caplog.text
