"""Every computing node says which module it belongs to, in every dialect and in what ONNX Runtime makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

from edge.compile.precision.declared_in_graph import graph_precision
from edge.compile.precision.proved_in_onnxruntime import optimized_precision
from edge.compress.dialects.cleanup import tidy
from edge.compress.dialects.half_regions import write_half
from edge.compress.dialects.kernels import optimized_graph
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize.pt2e import quantize_static
from tests.compress.dialects.drawn_graphs import Drawing

if TYPE_CHECKING:
    from collections.abc import Iterable

PLUMBING = {
    *("QuantizeLinear", "DequantizeLinear", "Cast", "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze"),
    *("Slice", "Gather"),
}
MULTIPLYING = {"Conv", "ConvInteger", "Gemm", "MatMul"}
SCOPES = "pkg.torch.onnx.name_scopes"


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
        self.encoder, self.head = ResNetModel(config), nn.Linear(16, 3)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(image).pooler_output.flatten(1))
        return logits


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        config = ViTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
        )
        self.encoder, self.head = ViTModel(config, add_pooling_layer=False), nn.Linear(16, 3)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(image).last_hidden_state[:, 0])
        return logits


@dataclass(frozen=True)
class Written:
    """A model in every dialect."""

    model: nn.Module
    float: onnx.ModelProto
    s8: onnx.ModelProto
    half: onnx.ModelProto
    u8: onnx.ModelProto

    @property
    def graphs(self) -> tuple[onnx.ModelProto, ...]:
        return self.float, self.s8, self.half, self.u8


def written(model: nn.Module, *shape: int) -> Written:
    calibration = (torch.randn(4, *shape),)
    example = (calibration[0][:1],)
    module = quantize_static(model.eval(), calibration, [calibration])
    s8 = write_s8(export_onnx(module, example, ["x"], ["y"]))
    return Written(model, export_onnx(model, example, ["x"], ["y"]), s8, write_half(s8), write_u8(s8))


@pytest.fixture(scope="module", params=[ResNet, ViT])
def graphs(request: pytest.FixtureRequest) -> Written:
    torch.manual_seed(0)
    return written(request.param(), 3, 32, 32)


def names(nodes: Iterable[onnx.NodeProto], operators: set[str]) -> list[str]:
    return [node.name for node in nodes if node.op_type in operators]


def test_what_computes_has_a_name_of_its_own(graphs: Written) -> None:
    for graph in graphs.graphs[:3]:
        found = [node.name for node in graph.graph.node if node.op_type not in PLUMBING]
        assert all(found)
        assert len(set(found)) == len(found)
        assert {node.name for node in graph.graph.node if node.op_type in PLUMBING} <= {""}


def test_names_are_paths_of_modules(graphs: Written) -> None:
    modules = {name for name, _ in graphs.model.named_modules()}
    for graph in graphs.graphs:
        for node in graph.graph.node:
            path = re.sub(r"\.\d+$", "", node.name) if node.name not in modules else node.name
            assert not node.name or path in modules or path.rpartition(".")[0] in modules, node.name


def test_every_layer_is_there_once_under_the_path_of_its_module(graphs: Written) -> None:
    layers = {name for name, m in graphs.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    for graph in graphs.graphs:
        found = [name for name in names(graph.graph.node, MULTIPLYING) if "scaled_dot_product" not in name]
        assert sorted(found) == sorted(layers)


def test_names_are_the_same_in_every_dialect(graphs: Written) -> None:
    everything = [sorted(names(graph.graph.node, MULTIPLYING)) for graph in graphs.graphs]
    assert everything[1:] == everything[:-1]
    assert {n.name for n in graphs.s8.graph.node} == {n.name for n in graphs.half.graph.node}


def test_names_are_found_again_in_what_onnx_runtime_makes_of_the_graph(graphs: Written) -> None:
    for graph in graphs.graphs:
        proved = optimized_precision(graph.SerializeToString(), graph_precision(graphs.s8))
        assert [layer.name for layer in proved.unknown] == []
    made = [n.name for n in optimized_graph(graphs.u8.SerializeToString()).graph.node]
    assert set(names(graphs.u8.graph.node, {"Gemm"})) <= {re.sub(r"_token_\d+$", "", name) for name in made}


class Shared(nn.Module):
    """One layer on two tensors, twice one function, and layers that begin alike."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.twins = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)])
        self.twins[1].load_state_dict(self.twins[0].state_dict())

    def forward(self, x: Tensor) -> Tensor:
        first = torch.relu(self.stem(x))
        second = torch.relu(self.stem(x.flip(2)))
        for twin in self.twins:
            second = twin(second)
        return first + second


def test_a_layer_that_is_called_twice_has_two_names() -> None:
    torch.manual_seed(0)
    shared = written(Shared(), 3, 8, 8)
    for graph in (shared.float, shared.s8, shared.half):
        assert sorted(names(graph.graph.node, {"Conv"})) == ["stem", "stem.2", "twins.0", "twins.1"]
        assert sorted(names(graph.graph.node, {"Relu"})) == ["relu", "relu.2"]
    assert sorted(names(shared.u8.graph.node, MULTIPLYING)) == ["stem", "stem.2", "twins.0", "twins.1"]


class Copied(nn.Module):
    """A transformer's layers start as copies of one, so that the exporter stores their weights once."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.encoder(x)
        return result


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_layers_with_equal_weights_keep_their_own_names() -> None:
    graph = export_onnx(Copied().eval(), (torch.randn(1, 5, 8),), ["x"], ["y"])
    found = names(graph.graph.node, MULTIPLYING)
    for part in ("self_attn", "linear1", "linear2"):
        for layer in (0, 1):
            assert f"encoder.layers.{layer}.{part}" in found
    first, second = ([name for name in found if name.startswith(f"encoder.layers.{i}.")] for i in (0, 1))
    assert [name.replace("layers.1", "layers.0") for name in second] == first


def named_graph(*given: tuple[str, str | None]) -> onnx.ModelProto:
    """A chain of additions with these names and scopes."""
    drawing = Drawing({"x": (1, 4)})
    tensor = "x"
    for name, scopes in given:
        tensor = drawing.node("Sin", [tensor], name=name)
        if scopes is not None:
            drawing.nodes[-1].metadata_props.append(onnx.StringStringEntryProto(key=SCOPES, value=scopes))
    return drawing.model(tensor)


def test_a_name_that_is_given_twice_takes_no_other_layers_name() -> None:
    tidied = tidy(named_graph(("a", None), ("a", None), ("a.2", None), ("a", None)))
    assert [n.name for n in tidied.graph.node] == ["a", "a.3", "a.2", "a.4"]
    assert [n.name for n in tidy(tidied).graph.node] == ["a", "a.3", "a.2", "a.4"]


@pytest.mark.parametrize(
    ("scopes", "name"),
    [
        ("['', 'stem', 'stem.0', 'sin_3']", "stem.0.sin"),
        ("['', 'stem.0', 'sin_']", "stem.0.sin"),
        ("['', 'sin']", "sin"),
        ("['', 'stem.0', 'conv2d_12']", "stem.0"),
        ("['', 'conv2d']", "conv2d"),
        ("['']", "mine"),
        ("[]", "mine"),
        ("", "mine"),
        ("[1, 2]", "mine"),
        ("'stem'", "mine"),
        ("[" * 5000, "mine"),
        ("__import__('sys').exit()", "mine"),
        (None, "mine"),
    ],
)
def test_names_come_from_the_scopes_that_torch_wrote(scopes: str | None, name: str) -> None:
    assert [n.name for n in tidy(named_graph(("mine", scopes))).graph.node] == [name]


def test_names_that_the_exporter_made_up_are_dropped() -> None:
    assert [n.name for n in tidy(named_graph(("node_sin_1", None))).graph.node] == [""]


def test_without_scopes_a_layer_is_called_by_its_weight() -> None:
    drawing = Drawing({"x": (1, 3, 4, 4)})
    weight = drawing.constant([[[[1.0]]] * 3])
    drawing.constants[-1].name = "backbone.conv1.weight"
    tensor = drawing.node("Conv", ["x", "backbone.conv1.weight"], name="/backbone/conv1/Conv")
    assert weight
    assert [n.name for n in tidy(drawing.model(tensor)).graph.node] == ["backbone.conv1"]


def test_subgraphs_are_stripped_of_what_their_writer_left() -> None:
    inner = helper.make_node("Neg", ["x"], ["n"], doc_string="File source.py")
    inner.metadata_props.append(onnx.StringStringEntryProto(key="pkg.torch.onnx.stack_trace", value="source.py"))
    result = helper.make_tensor_value_info("n", onnx.TensorProto.FLOAT, (1, 4))
    drawing = Drawing({"x": (1, 4)})
    flag = drawing.node("Greater", [drawing.node("ReduceMax", ["x"], keepdims=0), drawing.constant(0.0)])
    branches = helper.make_graph([inner], "yes", [], [result]), helper.make_graph([inner], "no", [], [result])
    model = drawing.model(drawing.node("If", [flag], "y", then_branch=branches[0], else_branch=branches[1]), y=(1, 4))
    assert b"source.py" in model.SerializeToString()
    assert b"source.py" not in tidy(model).SerializeToString()
