"""Graphs of one layer: the shapes that they claim, and what torch computes at any width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.mac_count import macs
from edge.compress.prune.graph import channel_graph
from edge.compress.prune.layer_graph import random_feed, single_layer_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.compress.prune.layer_shapes import LayerShape


class Every(nn.Module):
    """One of each kind of layer, with strides, dilations, groups and paddings of all sorts."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 16, (3, 5), stride=(2, 1), padding=(1, 2))
        self.grouped = nn.Conv2d(16, 24, 3, groups=4, padding="same", dilation=2)
        self.depthwise = nn.Conv2d(24, 48, 3, groups=24, padding="valid")
        self.up = nn.ConvTranspose2d(48, 16, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.line = nn.Conv1d(16, 16, 4, stride=3)
        self.query, self.key, self.value, self.out = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Any:
        x = self.up(self.depthwise(self.grouped(self.plain(x).relu()).relu()).relu())
        x = self.line(x.flatten(2)).transpose(1, 2)
        q, k, v = (f(x).unflatten(-1, (-1, 4)).transpose(1, 2) for f in (self.query, self.key, self.value))
        return self.out(
            (functional.scaled_dot_product_attention(q, k, v) @ v.transpose(-1, -2) @ v).mean(1).repeat(1, 1, 4)
        )


CONVOLUTIONS: dict[tuple[str, int], Callable[..., Tensor]] = {
    ("Conv", 1): functional.conv1d,
    ("Conv", 2): functional.conv2d,
    ("ConvTranspose", 2): functional.conv_transpose2d,
}


def computed(shape: LayerShape, x: Tensor, second: Tensor) -> Tensor:
    """What torch makes of a shape's numbers."""
    if shape.operator in ("MatMul", "Product", "Scores"):
        product = x @ second
        return product.softmax(-1) if shape.operator == "Scores" else product
    rank = len(shape.weight) - 2
    options: dict[str, Any] = {"stride": shape.stride, "dilation": shape.dilation, "groups": shape.groups}
    before, after = shape.pads[:rank], shape.pads[rank:]
    assert before == after  # those of this model are even
    if shape.operator == "ConvTranspose":
        options["output_padding"] = shape.output_padding
    return CONVOLUTIONS[shape.operator, rank](x, second, padding=before, **options)


@pytest.fixture(scope="module")
def shapes() -> dict[str, LayerShape]:
    graph = channel_graph(Every().eval(), (torch.randn(1, 3, 12, 12),))
    return {f"{use.weight or use.node} {index}": use.shape for index, use in enumerate(graph.uses)}


def test_every_layer_is_there_once(shapes: dict[str, LayerShape]) -> None:
    kinds = [shape.operator for shape in shapes.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "Conv": 4,
        "ConvTranspose": 1,
        "MatMul": 4,
        "Scores": 1,
        "Product": 3,  # weights by values, and two that the model has itself
    }
    assert len({shape.key for shape in shapes.values()}) == len(kinds) - 4  # the linear layers are alike, and so on


@pytest.mark.parametrize("halved", [False, True])
def test_graphs_compute_what_torch_does(shapes: dict[str, LayerShape], halved: bool) -> None:
    """At full width and at half of both sides."""
    for name, shape in shapes.items():
        if halved:
            first, second = shape.weight[:2]
            into = (
                shape.entering[0]
                if shape.operator in ("Scores", "Product")
                else shape.entering[-1 if shape.operator == "MatMul" else 1]
            )
            out = second * shape.groups if shape.operator == "ConvTranspose" else first
            into = into if into == 3 else into // 2
            shape = shape.resized(into, out // 2)  # noqa: PLW2901
        model = single_layer_graph(shape)
        feed = random_feed(model)
        (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
        constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
        second_operand = torch.from_numpy(np.array({**feed, **constants}["second"]))
        expected = computed(shape, torch.from_numpy(feed["x"]), second_operand)
        assert tuple(found.shape) == tuple(expected.shape), name
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-3, err_msg=name)


def test_products_are_those_that_macs_count() -> None:
    model, x = Every().eval(), (torch.randn(1, 3, 12, 12),)
    graph = channel_graph(model, x)
    counted = sum(layer.macs for layer in graph.layers if layer.weight is None)
    assert sum(use.product_macs for use in graph.uses) == counted
    assert sum(layer.macs for layer in graph.layers) == macs(model, x)


def test_integer_inputs_are_zeros() -> None:
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Cast", ["tokens"], ["y"], to=TensorProto.FLOAT)]
    values = [helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, 4])]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])]
    feed = random_feed(helper.make_model(helper.make_graph(nodes, "g", values, out)))
    np.testing.assert_array_equal(feed["tokens"], np.zeros((1, 4), np.int64))
