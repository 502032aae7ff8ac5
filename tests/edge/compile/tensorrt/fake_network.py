"""Networks of the stand-in for TensorRT: layers with tensors, as its bindings hand them out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Shape = tuple[int, ...]
DataType = Enum("DataType", ["FLOAT", "HALF", "BF16", "INT8", "INT32", "INT4", "FP8"])
LayerType = Enum(
    "LayerType",
    "CONVOLUTION DECONVOLUTION MATRIX_MULTIPLY CONSTANT QUANTIZE DEQUANTIZE CAST SHUFFLE SLICE GATHER IDENTITY "
    "ACTIVATION ELEMENTWISE POOLING SQUEEZE UNSQUEEZE",
)
MatrixOperation = Enum("MatrixOperation", ["NONE", "TRANSPOSE", "VECTOR"])
ErrorCode = Enum("ErrorCode", ["UNSUPPORTED_NODE", "INVALID_NODE", "MODEL_DESERIALIZE_FAILED"])


@dataclass(frozen=True)
class Tensor:
    """A tensor of a network."""

    name: str
    shape: Shape
    dtype: DataType = DataType.FLOAT


class ILayer:
    """What the bindings hand out: the base class, which knows nothing of what a layer is made of."""

    def __init__(self, kind: str, name: str, metadata: str, inputs: Sequence[Tensor | None], output: Tensor) -> None:
        self.type, self.name, self.metadata = LayerType[kind], name, metadata
        self._inputs, self._output = list(inputs), output
        self._made_of: dict[str, Any] = {}

    num_outputs = 1

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> Tensor | None:
        return self._inputs[index] if index < len(self._inputs) else None

    def get_output(self, index: int) -> Tensor:
        assert index == 0
        return self._output


def _class(name: str, *members: str) -> type[ILayer]:
    """A layer's own class, which knows what its base class does not."""
    return type(name, (ILayer,), {member: _member(member) for member in members})


def _member(name: str) -> property:
    def read(layer: ILayer) -> Any:
        return layer._made_of[name]

    return property(read)


def layer_classes() -> dict[str, Any]:
    """Names of the module that describe layers."""
    convolution = ("num_output_maps", "num_groups", "kernel_size_nd")
    return {
        "DataType": DataType,
        "LayerType": LayerType,
        "MatrixOperation": MatrixOperation,
        "IConvolutionLayer": _class("IConvolutionLayer", *convolution),
        "IDeconvolutionLayer": _class("IDeconvolutionLayer", *convolution),
        "IMatrixMultiplyLayer": _class("IMatrixMultiplyLayer", "op0", "op1"),
    }


class FakeNetwork:
    """A network that is put together layer by layer.

    Attributes:
        flags: It was created with.
    """

    def __init__(self, trt: Any = None, flags: int = 0) -> None:
        self.trt, self.flags = trt, flags
        self._layers: list[ILayer] = []
        self._inputs: list[Tensor] = []

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_layer(self, index: int) -> ILayer:
        return self._layers[index]

    def get_input(self, index: int) -> Tensor:
        return self._inputs[index]

    def input(self, name: str, shape: Shape) -> Tensor:
        """Adds an input."""
        self._inputs.append(Tensor(name, shape))
        return self._inputs[-1]

    def add(
        self,
        kind: str,
        inputs: Sequence[Tensor | None],
        shape: Shape,
        dtype: str = "FLOAT",
        name: str = "",
        metadata: str = "",
        **made_of: Any,
    ) -> Tensor:
        """Adds a layer and gives its output."""
        name = name or f"{kind.lower()}_{self.num_layers}"
        layer = ILayer(kind, name, metadata, inputs, Tensor(f"{name}.out", shape, DataType[dtype]))
        layer._made_of = made_of
        self._layers.append(layer)
        return layer.get_output(0)

    def constant(self, shape: Shape, dtype: str = "FLOAT") -> Tensor:
        """Adds a constant."""
        return self.add("CONSTANT", [], shape, dtype)

    def pair(self, tensor: Tensor) -> Tensor:
        """A quantize and a dequantize layer behind a tensor."""
        levels = self.add("QUANTIZE", [tensor, self.constant(())], tensor.shape, "INT8")
        return self.dequantized(levels)

    def dequantized(self, levels: Tensor, dtype: str = "FLOAT") -> Tensor:
        """A dequantize layer."""
        return self.add("DEQUANTIZE", [levels, self.constant(())], levels.shape, dtype)

    def weight(self, *shape: int) -> Tensor:
        """INT8 constants behind a dequantize layer."""
        return self.dequantized(self.constant(shape, "INT8"))


class ParserError:
    """What the parser has against a node."""

    def __init__(self, desc: str, name: str = "", operator: str = "", node: int = 0) -> None:
        self._told = {"desc": desc, "node_name": name, "node_operator": operator, "node": node}

    def desc(self) -> Any:
        return self._told["desc"]

    def node_name(self) -> Any:
        return self._told["node_name"]

    def node_operator(self) -> Any:
        return self._told["node_operator"]

    def node(self) -> Any:
        return self._told["node"]
