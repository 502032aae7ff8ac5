"""Small ONNX graphs with Q/DQ pairs in all the places where they count, and where they do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT = onnx.TensorProto.FLOAT
IMAGE, KERNEL = (1, 4, 8, 8), (8, 4, 3, 3)


@dataclass
class PairGraph:
    """A graph that is put together node by node.

    Attributes:
        shape: Of the input `x`.
    """

    shape: tuple[int, ...] = IMAGE
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, operator: str, inputs: list[str], output: str, name: str = "", **attributes: Any) -> str:
        """Adds a node and gives the name of what it makes."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name or f"{operator}.{output}", **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Adds a constant."""
        self.constants[name] = values
        return name

    def floats(self, name: str, *shape: int) -> str:
        """Adds random weights."""
        seed = np.random.default_rng(sum(name.encode()))
        return self.constant(name, seed.normal(size=shape).astype(np.float32) * 0.1)

    def quantized(self, tensor: str, levels: type[np.generic] = np.int8) -> str:
        """A Q/DQ pair behind a tensor."""
        zero = self.constant(f"{tensor}.zero", np.array(128 if levels is np.uint8 else 0, levels))
        scale = self.constant(f"{tensor}.scale", np.array(0.05, np.float32))
        self.add("QuantizeLinear", [tensor, scale, zero], f"{tensor}.q")
        return self.add("DequantizeLinear", [f"{tensor}.q", scale, zero], f"{tensor}.dq")

    def int8_weight(self, name: str, *shape: int, levels: type[np.generic] = np.int8, axis: int = 0) -> str:
        """Levels with a scale for each channel behind a DequantizeLinear."""
        values = np.random.default_rng(1).integers(-127, 127, shape).astype(levels)
        scale = np.full(shape[axis], 0.01, np.float32)
        given = [self.constant(f"{name}.levels", values), self.constant(f"{name}.scales", scale)]
        given.append(self.constant(f"{name}.zeros", np.zeros(shape[axis], levels)))
        return self.add("DequantizeLinear", given, f"{name}.dq", axis=axis)

    def model(self, output: str) -> onnx.ModelProto:
        """The finished graph."""
        graph = helper.make_graph(
            self.nodes,
            "pairs",
            [helper.make_tensor_value_info(n, FLOAT, s) for n, s in {"x": self.shape, **self.inputs}.items()],
            [helper.make_tensor_value_info(output, FLOAT, None)],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(inferred, full_check=True)
        return inferred


def convolution(*, activation: bool = True, weight: bool = True) -> onnx.ModelProto:
    """One convolution, `stem`, with a Q/DQ pair at the sides that are named."""
    made = PairGraph()
    given = made.quantized("x") if activation else "x"
    kernel = made.int8_weight("w", *KERNEL) if weight else made.floats("w", *KERNEL)
    made.add("Conv", [given, kernel], "y", "stem")
    return made.model("y")
