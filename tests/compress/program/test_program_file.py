"""Programs as files: what was packed comes back, small, under its names, with nothing of the machine it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.compress.export import export_onnx, export_program, run_graph
from edge.compress.program.file import pack_program, read_program
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.quantize.tracing import trace
from edge.runtime.errors import ModelError
from tests.compress.program.samples import (
    CONSTANTS,
    MODEL,
    NAMES,
    WEIGHTS,
    closed,
    example,
    exported,
    opened,
    packed,
    scorer,
)

if TYPE_CHECKING:
    from torch.fx import GraphModule


def test_what_was_packed_comes_back_with_its_names() -> None:
    program = read_program(packed(), "program.pt2")
    assert (program.input_names, program.output_names) == NAMES
    for found, wanted in zip(program.exported.module()(*example()), scorer()(*example()), strict=True):
        assert torch.equal(found, wanted)


def test_a_program_that_its_user_exported_reads_with_the_names_that_torch_gave() -> None:
    assert opened(exported())["archive/data/sample_inputs/model.pt"]
    program = read_program(exported(), "mine.pt2")
    assert program.input_names == ("image", "present")
    assert program.output_names == ("output0", "output1")
    assert program.exported.example_inputs is None
    for found, wanted in zip(program.exported.module()(*example()), scorer()(*example()), strict=True):
        assert torch.equal(found, wanted)


def test_a_program_saved_under_any_file_name_reads(tmp_path: Path) -> None:
    path = tmp_path / "my model (2).pt2"
    torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.ones(1, 3),)), path)
    assert read_program(path.read_bytes(), path.name).input_names == ("input",)


def test_nothing_of_the_machine_is_in_the_file() -> None:
    text = b"".join(opened(packed()).values())
    assert b".py" in b"".join(opened(exported()).values())
    assert not any(mark in text for mark in (b".py", b"site-packages", b"stack_trace", bytes(Path.cwd())))


def test_the_same_program_gives_the_same_bytes() -> None:
    assert pack_program(trace(scorer(), example()), *NAMES) == packed()


class Doubled(nn.Module):
    """Of two layers, two buffers and two constants one each is used."""

    scale: Tensor
    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(4, 4), nn.Linear(4, 400)
        self.register_buffer("scale", torch.ones(4))
        self.register_buffer("table", torch.ones(4000))
        self.offset, self.spare = torch.ones(4) * 2, torch.ones(3000)

    def forward(self, x: Tensor) -> Tensor:
        self.unused(x), self.table + 1, self.spare + 1
        result: Tensor = self.used(x) * self.scale + self.offset
        return result


def test_weights_buffers_and_constants_that_nothing_reads_are_left_out() -> None:
    model, inputs = Doubled().eval(), (torch.ones(1, 4),)
    files = opened(pack_program(trace(model, inputs), ["x"], ["y"]))
    assert set(json.loads(files[WEIGHTS])["config"]) == {"used.weight", "used.bias", "scale"}
    assert set(json.loads(files[CONSTANTS])["config"]) == {"offset"}
    assert sum(len(content) for name, content in files.items() if "weight_" in name or "tensor_" in name) == 112
    program = read_program(closed(files), "program.pt2")
    assert torch.equal(program.exported.module()(*inputs), model(*inputs))


def test_an_input_that_nothing_reads_stays_an_input() -> None:
    class First(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x * 2

    content = pack_program(trace(First(), (torch.ones(1, 2), torch.ones(1, 3))), ["a", "b"], ["c"])
    assert read_program(content, "program.pt2").input_names == ("a", "b")


@pytest.fixture(scope="module")
def quantized() -> GraphModule:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 3)).eval()
    return quantize_static(model, (torch.randn(2, 3, 8, 8),), [(torch.randn(8, 3, 8, 8),)])


def test_a_quantized_program_keeps_int8_weights_alone(quantized: GraphModule) -> None:
    inputs = (torch.randn(1, 3, 8, 8),)
    content = pack_program(trace(quantized, inputs), ["image"], ["classes"])
    files = opened(content)
    kinds = {name: (item["tensor_meta"]["dtype"], len(item["tensor_meta"]["sizes"])) for name, item in _config(files)}
    assert sorted(kind for kind, rank in kinds.values() if rank > 1) == [2, 2, 2]  # int8
    program = read_program(content, "program.pt2")
    assert torch.equal(program.exported.module()(*inputs), quantized(*inputs))


def test_the_onnx_graph_of_a_program_is_that_of_its_module(quantized: GraphModule) -> None:
    inputs = (torch.randn(1, 3, 8, 8),)
    program = read_program(pack_program(trace(quantized, inputs), ["image"], ["classes"]), "program.pt2")
    graph, wanted = export_program(program), export_onnx(quantized, inputs, ["image"], ["classes"])
    assert graph.SerializeToString() == wanted.SerializeToString()
    assert [n.name for n in graph.graph.node if n.op_type in ("Conv", "Gemm")] == ["0", "2", "4"]
    feeds: dict[str, Any] = {"image": inputs[0].numpy()}
    np.testing.assert_allclose(run_graph(graph, feeds)[0], quantized(*inputs).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"inputs": ["a"], "outputs": ["b", "c"]}, "differ in number"),
        ({"inputs": ["a", "b"], "outputs": ["c", "d", "e"]}, "differ in number"),
        ({"inputs": ["a", "b"], "outputs": ["c", "a"]}, "two of its tensors have one name"),
        ({"inputs": "ab", "outputs": ["c", "d"]}, "names no inputs and outputs"),
        ({"inputs": [1, 2], "outputs": ["c", "d"]}, "names no inputs and outputs"),
        ({"inputs": ["a", ""], "outputs": ["c", "d"]}, "names no inputs and outputs"),
        ({"inputs": ["a", "b\x1b[31m"], "outputs": ["c", "d"]}, "names no inputs and outputs"),
        ({"inputs": ["a", "b"]}, "names no inputs and outputs"),
        ([], "names no inputs and outputs"),
    ],
)
def test_names_that_do_not_fit_are_refused(names: object, message: str) -> None:
    files = {**opened(packed()), "archive/extra/edge_names.json": json.dumps(names).encode()}
    with pytest.raises(ModelError, match=message):
        read_program(closed(files), "program.pt2")


def test_a_program_that_nobody_could_read_is_not_packed() -> None:
    dynamic = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(nn.Linear(3, 2), (torch.ones(2, 3),), dynamic_shapes=({0: dynamic},))
    with pytest.raises(ModelError, match=r"the exported program.* has dynamic shapes"):
        pack_program(program, ["x"], ["y"])


def test_a_program_of_another_torch_is_named_as_that() -> None:
    files = opened(packed())
    content = json.loads(files[MODEL])
    content["schema_version"]["major"], content["torch_version"] = 9, "3.1.0"
    content["news"] = {"what": "no reader of today knows"}
    with pytest.raises(ModelError, match=r"written by torch 3\.1\.0 in schema 9, torch \S+ reads 8; export .* again"):
        read_program(closed({**files, MODEL: json.dumps(content).encode()}), "program.pt2")


def _config(files: dict[str, bytes]) -> list[tuple[str, Any]]:
    parsed = [json.loads(files[name])["config"] for name in (WEIGHTS, CONSTANTS)]
    return [item for config in parsed for item in config.items()]
