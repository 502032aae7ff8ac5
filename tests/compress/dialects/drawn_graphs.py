"""ONNX graphs drawn by hand, with scales that are powers of two: whatever order sums are made in, they are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLOAT = onnx.TensorProto.FLOAT
Shape = tuple[int | str, ...]


class Drawing:
    """A graph in the making; each method adds a node and gives the name of its result.

    Args:
        inputs: Shapes of the graph's inputs by name.
        seed: Of the weights.
    """

    def __init__(self, inputs: dict[str, Shape], seed: int = 0) -> None:
        self.inputs = inputs
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, op: str, inputs: Sequence[str], output: str = "", *, name: str = "", **attributes: Any) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name, **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def quantized(self, tensor: str, scale: float = 0.125) -> str:
        """Through a Q and a DQ."""
        pair = self.constant(scale), self.constant(0, np.int8)
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [tensor, *pair]), *pair])

    def weight(self, *shape: int) -> str:
        """INT8 levels per channel on axis 0, behind a DQ."""
        levels = self.constant(self.random.integers(-127, 128, shape), np.int8)
        scales = self.constant(2.0 ** -self.random.integers(4, 8, shape[0]))
        return self.node("DequantizeLinear", [levels, scales, self.constant(np.zeros(shape[0]), np.int8)], axis=0)

    def bias(self, *shape: int) -> str:
        return self.constant(self.random.integers(-64, 64, shape) / 16)

    def model(self, *outputs: str, opset: int = 18, **shapes: Shape) -> onnx.ModelProto:
        def described(name: str, shape: Shape | None) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, FLOAT, shape)

        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [described(name, shape) for name, shape in self.inputs.items()],
            [described(name, shapes.get(name)) for name in outputs],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        typed = onnx.shape_inference.infer_shapes(made, strict_mode=True)
        for index, found in enumerate(typed.graph.output):
            made.graph.output[index].CopyFrom(found)
        onnx.checker.check_model(made, full_check=True)
        return made


def feeds(model: onnx.ModelProto, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Values of the graph's inputs, some of them beyond what INT8 holds."""
    random = np.random.default_rng(seed)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    return {name: random.integers(-300, 300, shape).astype(np.float32) / 16 for name, shape in shapes.items()}


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def named(model: onnx.ModelProto, op: str) -> list[str]:
    """Names of the nodes of one operator."""
    return [node.name for node in model.graph.node if node.op_type == op]
