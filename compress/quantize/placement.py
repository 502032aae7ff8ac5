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
from edge.compress.quantize.tensor_weights import PerTensorWeightObserver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
AVERAGES = {
    *(aten.avg_pool1d.default, aten.avg_pool2d.default, aten.adaptive_avg_pool1d.default),
    *(aten.adaptive_avg_pool2d.default, aten.mean.dim, aten.avg_pool3d.default, aten.adaptive_avg_pool3d.default),
}
IDENTITIES = {aten.dropout.default, aten.detach.default, aten.alias.default}
_PASSING = FUSED_ACTIVATIONS | SAME_SCALE | AVERAGES | IDENTITIES
_JOINING = ADDITIONS | GATES | CONCATENATIONS


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
        plan = _Plan(model, self.keep_float)
        annotations: dict[Node, dict[Node, QuantizationSpecBase]] = {}
        anchors: dict[Node, tuple[Node, Node]] = {}
        # In the graph's order, because PT2E wants a scale's first edge before those that share it.
        for tensor, user in plan.edges(model):
            anchor = anchors.setdefault(plan.group_of(tensor), (tensor, user))
            first = anchor == (tensor, user)
            annotations.setdefault(user, {})[tensor] = self.activation if first else SharedQuantizationSpec(anchor)
        for node in plan.weighted:
            weight = self.whole_weight if node.target in TRANSPOSED else self.weight
            annotations[node][node.all_input_nodes[1]] = weight
        for node, inputs in annotations.items():
            node.meta["quantization_annotation"] = QuantizationAnnotation(
                input_qspec_map=inputs, allow_implicit_sharing=False, _annotated=True
            )
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing to check: `annotate` only names operators that every target takes."""


class _Plan:
    """Which layers are quantized, which tensors become INT8, and which of those share a scale."""

    def __init__(self, model: GraphModule, keep_float: Sequence[str]) -> None:
        nodes = [n for n in model.graph.nodes if n.op == "call_function"]
        self._kept = {n for n in nodes if is_kept(n, keep_float)}
        free = [n for n in nodes if n not in self._kept]
        self.weighted = [n for n in free if n.target in WEIGHTED and _has_own_weight(n)]
        quantized = set(self.weighted)
        joining = {n for n in free if n.target in _JOINING and _joins_tensors(n)}
        island = _forward(nodes, quantized, joining)
        demanded = _backward(nodes, quantized, joining)
        self._parents: dict[Node, Node] = {}
        self.tensors: dict[Node, None] = {}
        before = _ancestors(nodes, quantized)
        for node in nodes:
            if node in quantized:
                self._want(node.all_input_nodes[:1])
                if node.target in CONVOLUTIONS and node in before:
                    self._want([_with_activation(node)])
            elif node in demanded and any(i in island for i in node.all_input_nodes):
                self._want_passing(node, joining)

    def group_of(self, tensor: Node) -> Node:
        """The tensor that stands for all that share a scale with this one."""
        while self._parents.get(tensor, tensor) is not tensor:
            tensor = self._parents[tensor]
        return tensor

    def edges(self, model: GraphModule) -> list[tuple[Node, Node]]:
        """Every (INT8 tensor, reader) pair, in the graph's order; graph outputs and kept layers are no readers."""
        readers = [n for n in model.graph.nodes if n.op == "call_function" and n not in self._kept and _is_float(n)]
        return [(tensor, reader) for reader in readers for tensor in reader.all_input_nodes if tensor in self.tensors]

    def _want_passing(self, node: Node, joining: set[Node]) -> None:
        inputs = [n for n in node.all_input_nodes if _is_float(n)]
        if node in joining:
            self._want(inputs)
            if node.target in CONCATENATIONS:
                self._want([node])
                self._share([node, *inputs])
            elif node.target in ADDITIONS:
                self._share(inputs)
        elif node.target in SAME_SCALE | AVERAGES:
            self._want([inputs[0], node])
            if node.target in SAME_SCALE:
                self._share([inputs[0], node])

    def _want(self, tensors: Iterable[Node]) -> None:
        self.tensors.update(dict.fromkeys(tensors))

    def _share(self, tensors: Sequence[Node]) -> None:
        first = self.group_of(tensors[0])
        for tensor in tensors[1:]:
            self._parents[self.group_of(tensor)] = first


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


def _forward(nodes: list[Node], quantized: set[Node], joining: set[Node]) -> set[Node]:
    island = set(quantized)
    for node in nodes:
        if (node in joining or node.target in _PASSING) and any(i in island for i in node.all_input_nodes):
            island.add(node)
    return island


def _backward(nodes: list[Node], quantized: set[Node], joining: set[Node]) -> set[Node]:
    demanded: set[Node] = set()
    for node in reversed(nodes):
        for user in node.users:
            passes = user in demanded and (user in joining or user.target in _PASSING)
            if passes or (user in quantized and user.all_input_nodes[0] is node):
                demanded.add(node)
    return demanded


def _ancestors(nodes: list[Node], quantized: set[Node]) -> set[Node]:
    found: set[Node] = set()
    for node in reversed(nodes):
        if any(user in found or user in quantized for user in node.users):
            found.add(node)
    return found


def _with_activation(node: Node) -> Node:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].target in FUSED_ACTIVATIONS else node


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
