"""Whatever is given is opened to graphs, a program and a plan; nonsense is refused with what it is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
import torch
from torch import Tensor, nn

from edge.compile.check.subject import Subject, open_subject
from edge.compile.precision.declared_in_graph import graph_precision
from edge.compress.precision_plan import PrecisionPlan
from edge.compress.program.file import pack_program
from edge.compress.quantize.tracing import trace
from edge.packing.pack import pack_bundle
from edge.runtime.errors import BundleError, ModelError
from edge.runtime.manifest import StageEntry
from edge.runtime.trust import TrustPolicy
from tests.edge.compile.precision.pair_graphs import KERNEL, PairGraph, convolution

if TYPE_CHECKING:
    from edge.packing.pack import BundleContents
    from edge.project import Project


def written(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.stem(x)).mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def packed() -> bytes:
    torch.manual_seed(0)
    return pack_program(trace(Net().eval(), (torch.zeros(1, 3, 8, 8),)), ("image",), ("logits",))


def test_a_bundle_brings_all_its_graphs_and_the_plan_of_its_stages(
    small_contents: BundleContents, tmp_path: Path
) -> None:
    config = {"stage": "quantize", "quantize": {"keep_float": ["events"]}}
    stages = [StageEntry(name="quantize", params=1, macs=1, bytes=1, metrics={}, config=config)]
    graph = small_contents.graphs["fp32"]
    contents = dataclasses.replace(small_contents, graphs={"s8": graph, "fp32": graph}, stages=stages)
    subject = open_subject(pack_bundle(tmp_path / "bundle", contents).path)
    assert (subject.name, subject.kind, subject.program) == ("small", "bundle", None)
    assert subject.graphs == {"s8": graph, "fp32": graph}
    assert (subject.plan.of("objects"), subject.plan.of("events")) == ("int8", "fp32")
    assert subject.graph("s8").graph.name == "small"


def test_a_bundle_without_a_quantize_stage_plans_nothing_narrower(small_bundle: Path) -> None:
    assert open_subject(small_bundle).plan.of("objects") == "fp32"


def test_a_bundle_brings_its_program(small_contents: BundleContents, packed: bytes, tmp_path: Path) -> None:
    bundle = pack_bundle(tmp_path / "bundle", dataclasses.replace(small_contents, program=packed))
    program = open_subject(bundle.path).program
    assert program is not None
    assert (program.input_names, program.output_names) == (("image",), ("logits",))


def test_a_bundle_that_was_altered_or_is_not_signed_is_refused(small_bundle: Path) -> None:
    with pytest.raises(BundleError, match="unsigned"):
        open_subject(small_bundle, TrustPolicy(require_signature=True))
    (small_bundle / "LICENSES").write_text("another")
    with pytest.raises(BundleError, match="LICENSES"):
        open_subject(small_bundle)


def test_an_onnx_file_without_pairs_is_float_and_may_stay_so(tmp_path: Path) -> None:
    model = convolution(activation=False, weight=False)
    subject = open_subject(written(tmp_path / "float.onnx", model))
    assert (subject.name, subject.kind, set(subject.graphs)) == ("float.onnx", "onnx", {"fp32"})
    assert subject.plan.of("stem") == "fp32"
    assert subject.notes == ()


@pytest.mark.parametrize(("activation", "weight"), [(True, True), (True, False), (False, True)])
def test_what_has_a_pair_at_it_is_meant_to_be_int8(tmp_path: Path, activation: bool, weight: bool) -> None:
    """So that a foreign graph whose pairs are incomplete is found out."""
    model = convolution(activation=activation, weight=weight)
    subject = open_subject(written(tmp_path / "pairs.onnx", model))
    assert set(subject.graphs) == {"s8"}
    short = graph_precision(model).shortfall(subject.plan)
    assert [layer.name for layer in short] == ([] if activation and weight else ["stem"])


def test_layers_without_pairs_beside_quantized_ones_are_meant_to_be_float(tmp_path: Path) -> None:
    made = PairGraph()
    stem = made.add("Conv", [made.quantized("x"), made.int8_weight("w", *KERNEL)], "a", "stem")
    made.add("Conv", [stem, made.floats("v", 8, 8, 1, 1)], "y", "head")
    plan = open_subject(written(tmp_path / "mixed.onnx", made.model("y"))).plan
    assert (plan.of("stem"), plan.of("head")) == ("int8", "fp32")


@pytest.mark.parametrize("name", ["heads[0]", "a*", "what?", "[!a]", "[", "]"])
def test_names_are_taken_literally(tmp_path: Path, name: str) -> None:
    made = PairGraph()
    stem = made.add("Conv", [made.quantized("x"), made.int8_weight("w", *KERNEL)], "a", name)
    made.add("Conv", [stem, made.floats("v", 8, 8, 1, 1)], "y", "heads0")
    plan = open_subject(written(tmp_path / "odd.onnx", made.model("y"))).plan
    assert plan.of(name) == "int8"
    assert {plan.of(other) for other in ("heads0", "ab", "whatx", "b", "x")} == {"fp32"}


def test_shapes_that_are_not_fixed_leave_the_plan_open_and_say_so(tmp_path: Path) -> None:
    model = convolution()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    subject = open_subject(written(tmp_path / "dynamic.onnx", model))
    assert subject.plan.rules == ()
    (note,) = subject.notes
    assert note.startswith("No precision was planned: ") and "not fixed" in note


def test_a_program_is_exported_and_kept(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    path.write_bytes(packed)
    subject = open_subject(path)
    assert (subject.name, subject.kind, set(subject.graphs)) == ("program.pt2", "program", {"fp32"})
    assert subject.program is not None and subject.program.input_names == ("image",)
    assert [i.name for i in subject.graph("fp32").graph.input] == ["image"]
    assert {layer.name for layer in graph_precision(subject.graph("fp32")).layers} == {"stem", "head"}


def kept_teacher(folder: Path, project: Project) -> Path:
    """An untrained teacher of the project, as `edge train` keeps one."""
    from edge.checkpoint import CheckpointManifest, save_checkpoint
    from edge.compress.stages.record import StageRecord
    from edge.models.fusion_model import FusionModel

    torch.manual_seed(0)
    sizes = {"params": 1, "macs": 1, "bytes": 1, "seconds": 0.0}
    record = StageRecord.model_validate({"name": "teacher", "config": {}, **sizes, "metrics": {}, "gate_metrics": {}})
    manifest = CheckpointManifest(project=project, dataset=folder, record=record)
    save_checkpoint(folder / "teacher", manifest, FusionModel(project.teacher, project.io))
    return folder / "teacher"


def test_a_checkpoint_is_exported_both_ways(tmp_path: Path) -> None:
    from edge.project import load_project, preset_path

    narrow = {"embedding": 8, "hidden": [8, 8], "depths": [1, 1]}
    own = tmp_path / "own.yaml"
    own.write_text(
        f"base: {preset_path('street_demo')}\nteacher:\n  fusion: {{channels: 8}}\n  encoders:\n"
        + "".join(f"    {name}: {narrow}\n" for name in ("camera", "lidar", "audio"))
    )
    project = load_project(own)
    subject = open_subject(kept_teacher(tmp_path, project))
    assert (subject.name, subject.kind, set(subject.graphs)) == (project.name, "checkpoint", {"fp32"})
    assert subject.program is not None
    assert subject.program.input_names == tuple(i.name for i in subject.graph("fp32").graph.input)
    assert subject.plan.rules == ()


def test_a_checkpoint_that_reads_text_is_exported_with_whole_numbers(tmp_path: Path) -> None:
    from edge.models.fusion_model import FusionModelConfig
    from edge.project import find_project
    from edge.runtime.model_io import ModelIO

    text = {"feature": "tokens", "tensor": "ids", "stream": "note", "shape": [1, 6], "vocabulary": 9}
    text["tokenizer"] = "t.json"
    answer = {"decoder": "softmax", "tensor": "kind", "classes": ["a", "b"]}
    present = {"feature": "present", "streams": ["note"]}
    widths = {"encoders": {"note": {"kind": "text", "hidden": 8, "layers": 1, "heads": 2}}, "fusion": {"channels": 8}}
    project = find_project(Path("street_demo")).model_copy(
        update={
            "io": ModelIO.model_validate(
                {"schema": 1, "inputs": [{**text, "tokenizer": "t.json"}, present], "outputs": [answer]}
            ),
            "teacher": FusionModelConfig.model_validate(widths),
            "student": FusionModelConfig.model_validate(widths),
        }
    )
    graph = open_subject(kept_teacher(tmp_path, project)).graph("fp32").graph
    assert {i.name: i.type.tensor_type.elem_type for i in graph.input} == {
        "ids": onnx.TensorProto.INT64,
        "present": onnx.TensorProto.FLOAT,
    }


def nothing(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    (tmp_path / "empty").mkdir()
    for name, content in {
        "model.tflite": b"TFL3",
        "empty.onnx": b"",
        "broken.onnx": b"\x08\x0a\xff\xff",
        "text.pt2": b"hello",
        "half.pt2": b"PK\x03\x04",
    }.items():
        (tmp_path / name).write_bytes(content)
    onnx.save_model(
        convolution(), str(tmp_path / "outside.onnx"), save_as_external_data=True, location="gone.bin", size_threshold=0
    )
    (tmp_path / "gone.bin").unlink()
    return {
        "nothing": (tmp_path / "nothing", "there is no .*nothing; pass a folder"),
        "an empty folder": (tmp_path / "empty", "is no bundle, checkpoint, ONNX file or .pt2 program"),
        "another format": (tmp_path / "model.tflite", "is no ONNX file"),
        "an empty file": (tmp_path / "empty.onnx", "holds no graph"),
        "a broken file": (tmp_path / "broken.onnx", "is no ONNX file"),
        "text": (tmp_path / "text.pt2", r"text\.pt2"),
        "half an archive": (tmp_path / "half.pt2", r"half\.pt2"),
        "weights that are missing": (tmp_path / "outside.onnx", r"lies in gone\.bin, which is missing; copy that file"),
    }


NONSENSE = (
    *("nothing", "an empty folder", "another format", "an empty file", "a broken file", "text", "half an archive"),
    "weights that are missing",
)


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_refused(tmp_path: Path, kind: str) -> None:
    path, told = nothing(tmp_path)[kind]
    with pytest.raises(ModelError, match=told) as refused:
        open_subject(path)
    assert refused.value.exit_code == 2


def test_the_preferred_dialect_is_taken_else_the_first_there_is() -> None:
    subject = Subject("x", "bundle", {"u8": b"", "fp32": b""}, None, PrecisionPlan())
    assert subject.dialect_for(("s8", "fp32", "u8")) == "fp32"
    assert subject.dialect_for(("s8", "s8f16")) == "u8"
