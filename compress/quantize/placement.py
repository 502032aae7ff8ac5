"""Where Q/DQ pairs stand: TensorRT's rules for explicit quantization, as a PT2E `Quantizer`.

- Convolutions and linears take INT8 activations (per tensor) and weights (per channel, axis 0); biases stay float.
- A transposed convolution's weights have one scale: its output channels lie on axis 1, of their group alone, and
  compilers disagree on which axis a scale per channel would mean.
- Nothing stands between a convolution, or an addition, and its activation function (ReLU or a clip).
- A convolution's result is INT8 too where another quantized layer comes after it; a head's last one stays float.
- Additions, gates (multiplications) and concatenations take INT8 where one of their inputs comes from a quantized
  layer and their result goes to one; elsewhere (a transformer's residual stream) they stay float.
- Inputs of an addition share one scale, and so do inputs and result of a concatenation or of an operator that only
  moves or picks values.
- Once a tensor is INT8, all who read it read that, but for graph outputs and layers that are kept in float.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

from edge.compress.precision_plan import expanded
from edge.compress.quantize.observers import ActivationObserver, PerChannelWeightObserver
from edge.compress.quantize.placement_rules import Kind, Operation, PlacementPlan
from edge.compress.quantize.tensor_weights import PerTensorWeightObserver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.calibration.observers import Observer

aten = torch.ops.aten
TRANSPOSED = {aten.conv_transpose1d.default, aten.conv_transpose2d.input}
CONVOLUTIONS = {aten.conv1d.default, aten.conv2d.default, aten.conv3d.default} | TRANSPOSED
WEIGHTED = CONVOLUTIONS | {aten.linear.default}
ADDITIONS = {aten.add.Tensor, aten.add_.Tensor}
GATES = {aten.mul.Tensor, aten.mul_.Tensor}
CONCATENATIONS = {aten.cat.default, aten.concat.default}
FUSED_ACTIVATIONS = {
    *(aten.relu.default, aten.relu_.default, aten.relu6.default, aten.relu6_.default),
    *(aten.hardtanh.default, aten.hardtanh_.default, aten.clamp.default, aten.clamp_min.default),
}
# Their results are values of their input, or lie between them: the input's scale serves.
SAME_SCALE = {
    *(aten.max_pool1d.default, aten.max_pool2d.default, aten.flatten.using_ints, aten.view.default),
    *(aten.reshape.default, aten.permute.default, aten.transpose.int, aten.squeeze.dim, aten.squeeze.dims),
    *(aten.unsqueeze.default, aten.slice.Tensor, aten.select.int, aten.contiguous.default, aten.clone.default),
    *(aten.expand.default, aten.upsample_nearest2d.vec, aten.upsample_bilinear2d.vec, aten.max_pool3d.default),
}
PADS = {aten.pad.default, aten.constant_pad_nd.default}  # with zeros they give values of their input, and level 0
AVERAGES = {
    *(aten.avg_pool1d.default, aten.avg_pool2d.default, aten.adaptive_avg_pool1d.default),
    *(aten.adaptive_avg_pool2d.default, aten.mean.dim, aten.avg_pool3d.default, aten.adaptive_avg_pool3d.default),
}
IDENTITIES = {aten.dropout.default, aten.detach.default, aten.alias.default}
_LAYERS = {**dict.fromkeys(CONVOLUTIONS, Kind.CONVOLUTION), aten.linear.default: Kind.LINEAR}
_JOINING = {
    **dict.fromkeys(ADDITIONS, Kind.ADDITION),
    **dict.fromkeys(GATES, Kind.GATE),
    **dict.fromkeys(CONCATENATIONS, Kind.CONCATENATION),
}
_PASSING = {
    **dict.fromkeys(FUSED_ACTIVATIONS, Kind.ACTIVATION),
    **dict.fromkeys(SAME_SCALE, Kind.SAME_SCALE),
    **dict.fromkeys(AVERAGES, Kind.AVERAGE),
    **dict.fromkeys(IDENTITIES, Kind.IDENTITY),
}


class PlacementQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates an exported graph for `prepare_pt2e`.

    Args:
        keep_float: Globs on module paths (`head`, `encoders.audio.*`); what lies in a matching module stays float.
        observer: How activations' scales are found.
        percentile: For the observer `percentile`.
        weight_bits: 8, or 7 for processors whose INT8 products saturate.
    """

    def __init__(
        self,
        keep_float: Sequence[str] = (),
        observer: Observer = "minmax",
        percentile: float = 99.99,
        weight_bits: int = 8,
    ) -> None:
        super().__init__()
        self.keep_float = tuple(keep_float)
        watch = ActivationObserver.with_args(observer=observer, percentile=percentile)
        self.activation = QuantizationSpec(torch.int8, watch, -128, 127, torch.per_tensor_symmetric)
        level = largest_level(weight_bits)
        self.weight = QuantizationSpec(
            torch.int8, PerChannelWeightObserver, -level, level, torch.per_channel_symmetric, ch_axis=0
        )
        self.whole_weight = QuantizationSpec(
            torch.int8, PerTensorWeightObserver, -level, level, torch.per_tensor_symmetric
        )

    def annotate(self, model: GraphModule) -> GraphModule:
        """Writes `quantization_annotation` into the nodes' meta, as PT2E wants it."""
        nodes = {n.name: n for n in model.graph.nodes}
        operations = [_operation(n, self.keep_float) for n in nodes.values() if n.op == "call_function"]
        plan = PlacementPlan(operations, [n.name for n in model.graph.output_node().all_input_nodes])
        annotations: dict[Node, dict[Node, QuantizationSpecBase]] = {}
        anchors: dict[str, tuple[Node, Node]] = {}
        # In the graph's order, because PT2E wants a scale's first edge before those that share it.
        for tensor, reader in plan.edges():
            edge = (nodes[tensor], nodes[reader])
            anchor = anchors.setdefault(plan.group_of(tensor), edge)
            shared = self.activation if anchor == edge else SharedQuantizationSpec(anchor)
            annotations.setdefault(edge[1], {})[edge[0]] = shared
        for layer in plan.weighted:
            node = nodes[layer.result]
            weight = self.whole_weight if node.target in TRANSPOSED else self.weight
            annotations[node][node.all_input_nodes[1]] = weight
        for node, inputs in annotations.items():
            node.meta["quantization_annotation"] = QuantizationAnnotation(
                input_qspec_map=inputs, allow_implicit_sharing=False, _annotated=True
            )
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing to check: `annotate` only names operators that every target takes."""


def largest_level(weight_bits: int) -> int:
    """The level that a weight scale's largest value gets: 127, or 63 with 7 bits."""
    return int(2 ** (weight_bits - 1)) - 1


def module_paths(node: Node) -> tuple[str, ...]:
    """Dotted paths of the modules around a node, outermost first, e.g. `encoders`, `encoders.camera`."""
    stack = node.meta.get("nn_module_stack") or {}
    return tuple(_clean_path(entry[0]) for entry in stack.values() if entry[0])


def is_kept(node: Node, keep_float: Sequence[str]) -> bool:
    """Whether a module around the node matches one of the globs, or lies in one that does."""
    globs = expanded(tuple(keep_float))
    return any(fnmatchcase(path, glob) for path in module_paths(node) for glob in globs)


def _clean_path(path: str) -> str:
    return path.replace("L['self'].", "").replace("['", ".").replace("']", "").removeprefix(".")


def _operation(node: Node, keep_float: Sequence[str]) -> Operation:
    kept = is_kept(node, keep_float)
    kind = _kind(node, kept)
    floats = tuple(n.name for n in node.all_input_nodes if _is_float(n))
    return Operation(
        kind,
        result=node.name,
        inputs=floats[:1] if kind in (Kind.CONVOLUTION, Kind.LINEAR) else floats,
        reads=tuple(n.name for n in node.all_input_nodes),
        takes_levels=not kept and _is_float(node),
    )


def _kind(node: Node, kept: bool) -> Kind:
    if node.target in _PASSING:
        return _PASSING[node.target]
    if node.target in PADS:
        return Kind.SAME_SCALE if _pads_with_zeros(node) else Kind.OTHER
    if not kept and node.target in _LAYERS and _has_own_weight(node):
        return _LAYERS[node.target]
    if not kept and node.target in _JOINING and _joins_tensors(node):
        return _JOINING[node.target]
    return Kind.OTHER


def _pads_with_zeros(node: Node) -> bool:
    named = {**dict(zip(("input", "pad", "mode", "value"), node.args, strict=False)), **node.kwargs}
    if node.target is aten.constant_pad_nd.default:
        named = {**dict(zip(("input", "pad", "value"), node.args, strict=False)), **node.kwargs}
    return named.get("mode", "constant") == "constant" and not named.get("value")


def _has_own_weight(node: Node) -> bool:
    inputs = node.all_input_nodes
    return len(inputs) > 1 and inputs[1].op == "get_attr" and _is_float(inputs[0]) and _is_float(node)


def _joins_tensors(node: Node) -> bool:
    inputs = node.all_input_nodes
    return len(inputs) > 1 and _is_float(node) and all(_is_float(i) for i in inputs)


def _is_float(node: Node) -> bool:
    value: Any = node.meta.get("val")
    if value is None:
        return node.op == "get_attr"
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32
