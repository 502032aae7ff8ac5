"""The layers of a TensorRT network, as facts: names of modules, multiply-accumulates, weights, and what feeds them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.compile.tensorrt.network import ParsedNetwork

Shape = tuple[int, ...]
# In metadata, where names may hold brackets themselves, and versions separate entries by other characters.
ONNX_LAYER = re.compile(r"\[ONNX Layer: (.+?)\](?=$|[\s\x1e\x1f\[,;])")
# Torch-TensorRT's names: [CONVOLUTION]-[aten_ops.convolution.default]-[encoder.stem.0/convolution_21]
_TORCH_LAYER = re.compile(r"\[[A-Z_]+\]-\[[^\]]*\]-\[([^\]]*?)/?[^\]/]*\]$")
# Layers that reorder values and change none: a compiler moves a Q or DQ across them.
MOVING = ("SHUFFLE", "SLICE", "GATHER", "SQUEEZE", "UNSQUEEZE", "IDENTITY")


@dataclass(frozen=True, slots=True)
class NetworkLayer:
    """One layer.

    Attributes:
        layer: TensorRT's own object, of its base class.
        kind: Name of its type, such as `CONVOLUTION`.
        name: Path of its module where the name tells it, TensorRT's name elsewhere.
        macs: Multiply-accumulates of one inference; 0 but for convolutions and products of matrices.
        weights: Values that it holds itself.
        reads: Values of its input tensors.
        writes: Values of its output tensors.
    """

    layer: Any
    kind: str
    name: str
    macs: int
    weights: int
    reads: int
    writes: int


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """All layers of a network, and which of them makes each tensor.

    Attributes:
        layers: In TensorRT's order.
        makers: The layer behind each tensor, by the tensor's name.
    """

    layers: tuple[NetworkLayer, ...]
    makers: dict[str, NetworkLayer]

    def behind(self, tensor: Any) -> NetworkLayer | None:
        """The layer that makes a tensor's values, looked for across what only moves them; None for an input."""
        maker = self.makers.get(tensor.name)
        while maker is not None and maker.kind in MOVING:
            maker = self.makers.get(maker.layer.get_input(0).name)
        return maker


def read_network(parsed: ParsedNetwork) -> NetworkGraph:
    """Describes every layer of a network."""
    layers = tuple(_layers(parsed))
    makers = {layer.layer.get_output(i).name: layer for layer in layers for i in range(layer.layer.num_outputs)}
    return NetworkGraph(layers, makers)


def inputs_of(layer: Any) -> list[Any]:
    """A layer's input tensors, without those that it may have and has not."""
    tensors = (layer.get_input(i) for i in range(layer.num_inputs))
    return [tensor for tensor in tensors if tensor is not None]


def second_input(layer: Any) -> Any:
    """The kernel of a convolution or the right side of a product, where it is a tensor; None where it is not."""
    return layer.get_input(1) if layer.num_inputs > 1 else None


def _layers(parsed: ParsedNetwork) -> Iterator[NetworkLayer]:
    trt, network = parsed.library.trt, parsed.network
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        kind = layer.type.name
        reads = sum(prod(_shape(tensor)) for tensor in inputs_of(layer))
        writes = sum(prod(_shape(layer.get_output(i))) for i in range(layer.num_outputs))
        weights = _weights(trt, layer, kind)
        yield NetworkLayer(layer, kind, module_path(layer), _macs(trt, layer, kind), weights, reads, writes)


def module_path(layer: Any) -> str:
    """Path of the module that a layer came from: from the ONNX node's name, or from Torch-TensorRT's."""
    from_torch = _TORCH_LAYER.search(layer.name)
    if from_torch:
        return from_torch[1] or str(layer.name)
    from_onnx = ONNX_LAYER.search(getattr(layer, "metadata", "") or "")
    return from_onnx[1] if from_onnx else str(layer.name)


def _shape(tensor: Any) -> Shape:
    """Extents; what is not fixed counts as 1, one sample."""
    return tuple(max(1, int(extent)) for extent in tensor.shape)


def _macs(trt: Any, layer: Any, kind: str) -> int:
    if kind == "MATRIX_MULTIPLY":
        return prod(_shape(layer.get_output(0))) * _contracted(trt, layer)
    if kind in ("CONVOLUTION", "DECONVOLUTION"):
        spread = layer.get_output(0) if kind == "CONVOLUTION" else layer.get_input(0)
        return prod(_shape(spread)) * prod(_kernel(trt, layer, kind)[1:])
    return 0


def _contracted(trt: Any, layer: Any) -> int:
    shape = _shape(layer.get_input(0))
    specific = _as(layer, trt.IMatrixMultiplyLayer)
    vector, transposed = specific.op0 == trt.MatrixOperation.VECTOR, specific.op0 == trt.MatrixOperation.TRANSPOSE
    return shape[-2] if transposed and not vector else shape[-1]


def _kernel(trt: Any, layer: Any, kind: str) -> Shape:
    """`[out, in / groups, ...]` of a convolution, `[in, out / groups, ...]` of a transposed one."""
    kernel = second_input(layer)
    if kernel is not None:
        return _shape(kernel)
    convolution = kind == "CONVOLUTION"
    specific = _as(layer, trt.IConvolutionLayer if convolution else trt.IDeconvolutionLayer)
    channels, maps, groups = _shape(layer.get_input(0))[1], int(specific.num_output_maps), int(specific.num_groups)
    outer, inner = (maps, channels // groups) if convolution else (channels, maps // groups)
    return (outer, inner, *(int(extent) for extent in specific.kernel_size_nd))


def _weights(trt: Any, layer: Any, kind: str) -> int:
    if kind == "CONSTANT":
        return prod(_shape(layer.get_output(0)))
    if kind in ("CONVOLUTION", "DECONVOLUTION") and second_input(layer) is None:
        return prod(_kernel(trt, layer, kind))
    return 0


def _as(layer: Any, specific: Any) -> Any:
    """The layer as its own class: TensorRT's bindings hand out the base class, and take this for a cast."""
    layer.__class__ = specific
    return layer
