"""The kernels that TensorRT would make of an ONNX graph: what is fused into what, what is copied, what costs nothing.

Rules, as the build logs of TensorRT 8.5 to 10.3 show them (docs/estimate.md names some):

- Q/DQ, casts, reshapes and identities cost nothing; what depends on constants alone is folded.
- Elementwise operators, batch norm among them, join the convolution, linear layer or elementwise kernel in front of
  them, as long as nobody else reads what lies between. SiLU and GELU, which read a tensor twice, join whole.
- One tensor from elsewhere may join a convolution or linear layer that way, so a residual addition costs its reading.
- A concatenation costs nothing for inputs that only it reads: they are written where they belong. Others are copied.
- Splits, slices, gathers, transposes and the like are copies. All else is a kernel of its own, bound by memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import onnx

from edge.compress.dialects.onnx_graph import OnnxGraph, attribute
from edge.graph.layers import WEIGHTED, GraphLayer, graph_layers
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge.compress.precision_plan import PlannedPrecision

# Inputs of a sum that one tensor-core instruction takes (PTX: mma m16n8k32, m16n8k16, m16n8k8); it makes 8 outputs.
SUM_STEP: dict[PlannedPrecision, int] = {"int8": 32, "fp16": 16, "fp32": 8}
OUTPUT_STEP = 8
VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "QuantizeLinear", "Dropout"})
VIEWS |= {"DequantizeLinear"}
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Where", "Equal", "Less", "Greater", "Not"})
ELEMENTWISE |= {"Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish"}
ELEMENTWISE |= {"Tanh", "Softplus", "Mish", "Gelu", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Neg", "Sign"}
ELEMENTWISE |= {"Floor", "Ceil", "Round", "Sin", "Cos", "BatchNormalization", "And", "Or"}
COPIES = frozenset({"Slice", "Split", "Gather", "Transpose", "Pad", "Expand", "Tile", "DepthToSpace", "SpaceToDepth"})
RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}
_SUBGRAPHS = frozenset({"If", "Loop", "Scan"})
_KNOWN = frozenset({"Constant", "Shape", "Size"})  # before anything runs


@dataclass(frozen=True, slots=True)
class Product:
    """The multiply-accumulates of a kernel as a product of matrices.

    Attributes:
        rows: Positions of the output times batch.
        outputs: Output channels of a group.
        inputs: Input channels of a group.
        taps: Positions that each output looks at.
        groups: 1, or more for a grouped or depthwise convolution.
    """

    rows: int
    outputs: int
    inputs: int
    taps: int = 1
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.rows * self.outputs * self.inputs * self.taps * self.groups

    def padded_macs(self, precision: PlannedPrecision) -> int:
        """What tensor cores compute, who fill each group up to whole instructions."""
        outputs, inputs = _up(self.outputs, OUTPUT_STEP), _up(self.inputs, SUM_STEP[precision])
        return self.rows * outputs * inputs * self.taps * self.groups


@dataclass(frozen=True, slots=True)
class Kernel:
    """A layer and what is fused into it.

    Attributes:
        layers: The layer that gives its name first, then those that joined it.
        product: Its arithmetic; None where memory alone decides.
        reads: Tensors that come from other kernels or from outside.
        writes: Tensors that others read.
        values: How many values it moves, weights included.
        weights: Values of its constants.
        launches: Times that the GPU is told to start; 0 where nothing needs doing.
    """

    layers: tuple[GraphLayer, ...]
    product: Product | None
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    values: int
    weights: int
    launches: int

    @property
    def name(self) -> str:
        """Of its first layer."""
        return self.layers[0].name

    @property
    def declared(self) -> PlannedPrecision:
        """What the graph declares: INT8 where a layer of it does, else what its first layer computes in."""
        if any(layer.precision == "int8" for layer in self.layers):
            return "int8"
        return "fp32" if self.layers[0].precision == "fp32" else "fp16"


@dataclass(frozen=True, slots=True)
class KernelGraph:
    """Kernels in the order in which they run, and the values of every tensor between them.

    Attributes:
        kernels: Including those that cost nothing.
        free: Layers that no kernel does: views of tensors, and what is known before anything runs.
        sizes: Values by tensor.
        inputs: Tensors that come from outside.
        outputs: Tensors that go outside.
        places: Tensors that are written into a concatenation's result, and that result.
    """

    kernels: tuple[Kernel, ...]
    free: tuple[GraphLayer, ...]
    sizes: dict[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    places: dict[str, str]


def kernel_graph(model: onnx.ModelProto) -> KernelGraph:
    """Fuses a graph by the rules above.

    Raises:
        ModelError: Shapes cannot be inferred or are not fixed, or the graph branches or loops.
    """
    return _Fusion(model).result()


class _Fusion:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = OnnxGraph(model)
        self.layers = {layer.output: layer for layer in _told_apart(graph_layers(model))}
        self.makers = self.graph.producers()
        self.constants = set(self.graph.constants)
        self.sources: dict[str, str] = {}
        self.nodes = [node for node in self.graph.nodes if self._computes(node)]
        self.reads = [self._data(node) for node in self.nodes]
        self.made = {name: index for index, node in enumerate(self.nodes) for name in node.output if name}
        self.readers: dict[str, list[int]] = {}
        for index, names in enumerate(self.reads):
            for name in names:
                self.readers.setdefault(name, []).append(index)
        self.sizes = {i.name: _values(i) for i in model.graph.input if i.name not in self.constants}
        self.inputs = tuple(self.sizes)
        for node in self.nodes:
            self.sizes.update(self._output_sizes(node))
        given = dict.fromkeys(self._source(name) for name in self.graph.outputs)
        self.outputs = tuple(name for name in given if name in self.sizes)  # a constant needs no kernel
        self.places: dict[str, str] = {}

    def result(self) -> KernelGraph:
        kernels, taken = [], set[int]()
        for index in range(len(self.nodes)):
            if index not in taken:
                group = self._group(index)
                taken.update(group)
                kernels.append(self._kernel(group))
        free = tuple(layer for layer in self.layers.values() if layer.output not in self.made)
        return KernelGraph(tuple(kernels), free, self.sizes, self.inputs, self.outputs, self.places)

    def _computes(self, node: onnx.NodeProto) -> bool:
        """Whether a node is work; on the way notes which tensors are constant, and which are others' views."""
        if node.op_type in _SUBGRAPHS:
            raise ModelError(f"the graph has a {node.op_type} ('{node.name}')", "export the model without branches")
        inputs = [name for name in node.input if name]
        if node.op_type in _KNOWN or all(name in self.constants for name in inputs):
            self.constants.update(node.output)
            return False
        if node.op_type in VIEWS:
            self.sources[node.output[0]] = self._source(node.input[0])
            return False
        return True

    def _source(self, name: str) -> str:
        return self.sources.get(name, name)

    def _data(self, node: onnx.NodeProto) -> list[str]:
        """What a node reads that is computed or comes from outside, each tensor once."""
        return list(dict.fromkeys(self._source(name) for name in node.input if name and name not in self.constants))

    def _output_sizes(self, node: onnx.NodeProto) -> dict[str, int]:
        """The first output's size is known; others share what is left."""
        layer = self.layers[node.output[0]]
        first, *others = [name for name in node.output if name]
        size = prod(layer.shape)
        return {first: size, **dict.fromkeys(others, (layer.writes - size) // max(len(others), 1))}

    def _group(self, anchor: int) -> list[int]:
        """A node and those that join it: as many as leave one tensor that is read outside."""
        group, kept = [anchor], 1
        if self.nodes[anchor].op_type not in WEIGHTED | ELEMENTWISE:
            return group
        while (reader := self._next_reader(group)) is not None and self._joins(reader, group):
            group.append(reader)
            if self._loose(group) == [self.nodes[reader].output[0]]:
                kept = len(group)
        return group[:kept]

    def _next_reader(self, group: list[int]) -> int | None:
        found = (r for i in group for name in self.nodes[i].output for r in self.readers.get(name, ()))
        return min((r for r in found if r not in group), default=None)

    def _joins(self, reader: int, group: list[int]) -> bool:
        node, anchor = self.nodes[reader], self.nodes[group[0]]
        if node.op_type not in ELEMENTWISE or self.sizes[node.output[0]] != self.sizes[anchor.output[0]]:
            return False
        extra = {n for i in [*group[1:], reader] for n in self.reads[i] if self.made.get(n) not in group}
        early = all(self.made.get(name, -1) < group[0] for name in extra)
        return early and (anchor.op_type not in WEIGHTED or len(extra) <= 1)

    def _foreign(self, group: list[int]) -> list[str]:
        """Tensors that a group reads and does not make."""
        return list(dict.fromkeys(n for i in group for n in self.reads[i] if self.made.get(n) not in group))

    def _loose(self, group: list[int]) -> list[str]:
        """Tensors that a group makes for others."""
        names = [name for i in group for name in self.nodes[i].output if name]
        return [n for n in names if n in self.outputs or any(r not in group for r in self.readers.get(n, ()))]

    def _kernel(self, group: list[int]) -> Kernel:
        node = self.nodes[group[0]]
        layers = tuple(self.layers[self.nodes[i].output[0]] for i in group)
        reads, writes = self._foreign(group), self._loose(group)
        weights = sum(layer.weights for layer in layers)
        written = sum(self.sizes[name] for name in writes)
        values, launches = weights + sum(self.sizes[name] for name in reads) + written, 1
        if node.op_type == "Concat":
            copied = [name for name in reads if not self._in_place(name, group[0])]
            self.places.update({name: node.output[0] for name in reads if name not in copied})
            values = 2 * (sum(self.sizes[name] for name in copied) + weights)
            launches = len(copied) + bool(weights)
        elif node.op_type in COPIES:
            values = 2 * written
        elif node.op_type in RECURRENT:
            launches = layers[0].shape[0]
        return Kernel(layers, self._product(node, layers[0]), tuple(reads), tuple(writes), values, weights, launches)

    def _in_place(self, name: str, reader: int) -> bool:
        once = sum(self._source(i) == name for i in self.nodes[reader].input) == 1
        return once and name in self.made and name not in self.outputs and self.readers[name] == [reader]

    def _product(self, node: onnx.NodeProto, layer: GraphLayer) -> Product | None:
        if not layer.macs:
            return None
        if node.op_type in RECURRENT:
            rows, width = layer.shape[0] * layer.shape[2], layer.shape[1] * layer.shape[3] * RECURRENT[node.op_type]
            return Product(rows, width, layer.macs // (rows * width))
        convolves = node.op_type in ("Conv", "ConvTranspose")
        weight = self._weight_shape(node) if convolves else ()
        if not weight:
            outputs = layer.shape[1] if convolves else (layer.shape or (1,))[-1]
            rows = prod(layer.shape) // outputs
            return Product(rows, outputs, layer.macs // (rows * outputs))
        groups, taps = attribute(node, "group", 1), prod(weight[2:])
        if node.op_type == "Conv":
            outputs, inputs = weight[0] // groups, weight[1]
        else:
            outputs, inputs = weight[1], weight[0] // groups
        return Product(layer.macs // (outputs * inputs * taps * groups), outputs, inputs, taps, groups)

    def _weight_shape(self, node: onnx.NodeProto) -> tuple[int, ...]:
        """Of a constant weight, behind its DequantizeLinear if there is one; empty where it is computed."""
        name = node.input[1]
        maker = self.makers.get(name)
        if maker is not None and maker.op_type in ("DequantizeLinear", "Cast"):
            name = maker.input[0]
        return tuple(self.graph.constants[name].dims) if name in self.graph.constants else ()


def _values(item: onnx.ValueInfoProto) -> int:
    """How many values a graph input holds; shapes with open dimensions were refused before."""
    tensor = item.type.tensor_type
    dims = tensor.shape.dim
    if not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in dims):
        raise ModelError(
            f"the shape of input '{item.name}' is not fixed", "export the model with fixed shapes, batch 1"
        )
    return prod(dim.dim_value for dim in dims)


def _told_apart(layers: Iterable[GraphLayer]) -> Iterator[GraphLayer]:
    """Nodes of a foreign graph may share a name; in a table each row needs one, so later ones are numbered."""
    seen: Counter[str] = Counter()
    for layer in layers:
        seen[layer.name] += 1
        yield layer if seen[layer.name] == 1 else replace(layer, name=f"{layer.name} ({seen[layer.name]})")


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
