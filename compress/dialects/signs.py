"""Which tensors of a graph cannot hold a negative value, whatever the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

    from edge.compress.dialects.onnx_graph import OnnxGraph

_SIGN_KEEPING = {
    *("QuantizeLinear", "DequantizeLinear", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("ReduceMean", "ReduceMax", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather"),
    *("Resize", "Expand", "Clip", "Pad"),
}
_SIGN_KEEPING_IF_ALL = {"Concat", "Add", "Mul", "Max"}
DROPPED_RELU = "DroppedRelu"  # no ONNX operator: what marks the place of a ReLU until it is removed
_NEVER_NEGATIVE = {"Relu", DROPPED_RELU, "Sigmoid", "Softmax", "Abs", "Exp", "HardSigmoid"}


class Signs:
    """Which tensors cannot hold a negative value, whatever the input."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._makers = graph.producers()
        self._known: dict[str, bool] = {}

    def never_negative(self, name: str) -> bool:
        """Whether `name` is behind a ReLU or made of such tensors."""
        if name not in self._known:
            self._known[name] = self._look(name)
        return self._known[name]

    def _look(self, name: str) -> bool:
        if name in self._graph.constants:
            return bool(np.all(self._graph.array(name) >= 0))
        node = self._makers.get(name)
        if node is None:
            return False
        if node.op_type in _NEVER_NEGATIVE or self._clips_below_zero(node):
            return True
        if node.op_type == "Pad" and len(node.input) > 2 and node.input[2] and not self.never_negative(node.input[2]):
            return False
        if node.op_type in _SIGN_KEEPING:
            return self.never_negative(node.input[0])
        return node.op_type in _SIGN_KEEPING_IF_ALL and all(self.never_negative(i) for i in node.input)

    def _clips_below_zero(self, node: onnx.NodeProto) -> bool:
        floor = node.input[1] if node.op_type == "Clip" and len(node.input) > 1 else ""
        return floor in self._graph.constants and bool(np.all(self._graph.array(floor) >= 0))
