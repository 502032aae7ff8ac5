"""Which nodes of a graph the `s8f16` dialect computes in FP16; the rules of `edge.compress.dialects.half_regions`."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import torch

from edge.compress.quantize.placement import FUSED_ACTIVATIONS, is_kept
from edge.compress.sensitivity.module_globs import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.fx import GraphModule, Node

    from edge.compress.sensitivity.calibrated_graph import Edge

aten = torch.ops.aten
# Sums and powers leave FP16's range, normalisations divide by what may be tiny: they stay FP32.
WIDE = {
    *(aten.exp.default, aten.log.default, aten.sqrt.default, aten.rsqrt.default, aten.reciprocal.default),
    *(aten.pow.Tensor_Scalar, aten.pow.Tensor_Tensor, aten.sum.default, aten.sum.dim_IntList, aten.cumsum.default),
    *(aten.prod.default, aten.logsumexp.default, aten.linalg_vector_norm.default, aten.layer_norm.default),
    *(aten.group_norm.default, aten.instance_norm.default, aten.batch_norm.default, aten.rms_norm.default),
}
# These have the type of what they move.
MOVING = {
    *(aten.view.default, aten.reshape.default, aten.permute.default, aten.transpose.int, aten.flatten.using_ints),
    *(aten.squeeze.dim, aten.squeeze.dims, aten.unsqueeze.default, aten.slice.Tensor, aten.select.int),
    *(aten.contiguous.default, aten.clone.default, aten.expand.default, aten.unbind.int, aten.alias.default),
    *(aten.dropout.default, aten.detach.default, aten.detach_.default, aten.lift_fresh_copy.default),
    operator.getitem,
}


def half_nodes(
    module: GraphModule, keep_fp32: Sequence[str], integer: frozenset[Node], levels: frozenset[Edge]
) -> frozenset[Node]:
    """Nodes that read and give FP16.

    Not so: INT8 layers and the activation functions behind them, what is read as INT8 alone (it is computed inside an
    integer kernel), what lies in a module that `keep_fp32` names, and operators that need the range of FP32.

    Args:
        module: A float graph, or one with Q/DQ operators.
        keep_fp32: Globs on module paths; `*` is everything, named or not.
        integer: Layers that are quantized.
        levels: INT8 tensors with who reads or rounds them.
    """
    if EVERYTHING in keep_fp32:
        return frozenset()
    inside = integer | {user for layer in integer for user in _activations(layer)}
    return frozenset(
        n
        for n in module.graph.nodes
        if n.op == "call_function"
        and n not in inside
        and n.target not in WIDE | MOVING
        and not is_kept(n, keep_fp32)
        and not (n.users and all((n, user) in levels for user in n.users))
    )


def _activations(layer: Node) -> list[Node]:
    users = list(layer.users)
    return users if len(users) == 1 and users[0].target in FUSED_ACTIVATIONS else []
