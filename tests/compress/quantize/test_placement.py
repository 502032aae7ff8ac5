from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.placement import module_paths
from edge.compress.quantize.pt2e import quantize_static

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

quantized = torch.ops.quantized_decomposed
Q = quantized.quantize_per_tensor.default
DQ = (quantized.dequantize_per_tensor.default, quantized.dequantize_per_tensor.tensor)
aten = torch.ops.aten
CONV = aten.conv2d.default


def convert(model: nn.Module, *shapes: tuple[int, ...], **config: Any) -> GraphModule:
    batches = [tuple(torch.randn(3, *s) for s in shapes) for _ in range(2)]
    return quantize_static(model.eval(), batches[0], batches, QuantizeConfig(**config))


def nodes(module: GraphModule, *targets: Any) -> list[Node]:
    return [n for n in module.graph.nodes if n.op == "call_function" and n.target in targets]


def scale_into(node: Node, index: int) -> Any:
    """Scale of the Q/DQ pair on one of a node's inputs."""
    source = node.all_input_nodes[index]
    assert source.target in DQ, f"{node} reads {source} without a Q/DQ pair"
    return source.args[1]


def readers(node: Node) -> set[Any]:
    return {u.target for u in node.users}


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        result: Tensor = self.head(self.pool(torch.relu(x + self.body(x))))
        return result


def test_nothing_stands_between_a_convolution_or_an_addition_and_its_relu() -> None:
    module = convert(Residual(), (3, 12, 12))
    for relu in nodes(module, aten.relu.default):
        assert relu.all_input_nodes[0].target in (CONV, aten.add.Tensor)
        assert readers(relu) == {Q}
    assert not nodes(module, aten.batch_norm.default)


def test_weights_are_int8_per_channel_and_biases_stay_float() -> None:
    module = convert(Residual(), (3, 12, 12))
    for conv in nodes(module, CONV):
        _, weight, bias = conv.all_input_nodes
        assert weight.target is quantized.dequantize_per_channel.default
        assert weight.args[3:6] == (0, -127, 127)
        assert module.get_buffer(str(weight.all_input_nodes[0].target)).dtype is torch.int8
        assert bias.op == "get_attr" and module.get_parameter(str(bias.target)).dtype is torch.float32


def test_both_inputs_of_a_residual_addition_share_one_scale() -> None:
    (add,) = nodes(convert(Residual(), (3, 12, 12)), aten.add.Tensor)
    assert scale_into(add, 0) == scale_into(add, 1)


def test_pooling_keeps_its_inputs_scale() -> None:
    module = convert(Residual(), (3, 12, 12))
    (pool,) = nodes(module, aten.max_pool2d.default)
    (after,) = pool.users
    assert after.target is Q
    assert scale_into(pool, 0) == after.args[1]


def test_the_graphs_output_is_float() -> None:
    module = convert(Residual(), (3, 12, 12))
    (output,) = [n for n in module.graph.nodes if n.op == "output"]
    assert [n.target for n in output.all_input_nodes] == [CONV]


class Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 3), nn.Conv2d(2, 6, 3)
        self.mix = nn.Conv2d(12, 4, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        result: Tensor = self.mix(torch.cat([torch.relu(self.left(left)), self.right(right) * 7], 1))
        return result


def test_inputs_and_result_of_a_concatenation_share_one_scale() -> None:
    (cat,) = nodes(convert(Fusion(), (3, 8, 8), (2, 8, 8)), aten.cat.default)
    (after,) = cat.users
    assert after.target is Q
    assert scale_into(cat, 0) == scale_into(cat, 1) == after.args[1]


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1)
        self.placeholder = nn.Parameter(torch.ones(1, 6, 1, 1))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        gate = present[:, 0].view(-1, 1, 1, 1)
        result: Tensor = self.head(torch.relu(self.encoder(x)) * gate + self.placeholder * (1 - gate))
        return result


def test_a_gate_of_ones_and_zeros_is_exact() -> None:
    model = Gated().eval()
    batches = [(torch.randn(4, 3, 8, 8), torch.tensor([[1.0], [0.0], [1.0], [0.0]]))]
    module = quantize_static(model, batches[0], batches)
    gate = next(n for n in nodes(module, aten.mul.Tensor) if all(i.target in DQ for i in n.all_input_nodes))
    assert min(scale_into(gate, 0), scale_into(gate, 1)) * 127 == pytest.approx(1.0)
    (add,) = nodes(module, aten.add.Tensor)
    assert scale_into(add, 0) == scale_into(add, 1)


class PreNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 8)
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.head = nn.Linear(8, 3)
        self.last = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(norm(x))
        result: Tensor = self.head(self.last(x))
        return result


def test_a_transformers_residual_stream_stays_float() -> None:
    module = convert(PreNorm(), (7, 5))
    for add in nodes(module, aten.add.Tensor):
        assert not any(i.target in DQ for i in add.all_input_nodes)
    linears = nodes(module, aten.linear.default)
    assert len(linears) == 4
    assert all(linear.all_input_nodes[0].target in DQ for linear in linears)


@pytest.mark.parametrize("glob", ["body", "bod*", "body.0"])
def test_kept_modules_stay_float_and_the_rest_does_not(glob: str) -> None:
    module = convert(Residual(), (3, 12, 12), keep_float=(glob,))
    kept = {module_paths(n)[-1]: n.all_input_nodes[1].target for n in nodes(module, CONV)}
    assert kept.pop("body.0") == "body.0.weight"
    assert set(kept) == {"stem.0", "head"}
    assert set(kept.values()) == {quantized.dequantize_per_channel.default}


def test_all_who_read_an_int8_tensor_read_it_as_int8() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            result: Tensor = self.b(y) * torch.sigmoid(y)
            return result

    module = convert(Twice(), (3, 5, 5))
    first = nodes(module, CONV)[0]
    assert readers(first) == {Q}


def test_a_one_dimensional_convolution_is_quantized() -> None:
    module = convert(nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.Conv1d(6, 3, 3)), (2, 20))
    convs = nodes(module, aten.conv1d.default)
    assert len(convs) == 2
    assert all(c.all_input_nodes[0].target in DQ for c in convs)
