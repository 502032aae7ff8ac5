"""Batch norms folded into the convolution before them, also where PT2E's own folding fails or errs.

It takes the weights of a grouped transposed convolution for those of a plain one, and folds into convolutions whose
result others read as well, which changes what those get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edge.compress.quantize.channel_axes import along_outputs
from edge.compress.quantize.parameters import arguments_of, is_own, parameter_of, set_parameter
from edge.compress.quantize.placement import CONVOLUTIONS

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

aten = torch.ops.aten


def fold_batch_norms(model: GraphModule) -> None:
    """Folds every batch norm that is alone behind a convolution, in place; the others are left to be computed."""
    for norm in [n for n in model.graph.nodes if n.target is aten.batch_norm.default]:
        convolution = arguments_of(norm)[0]
        if convolution.target not in CONVOLUTIONS | {aten.conv_transpose3d.input}:
            continue
        if _is_foldable(convolution, norm):
            _fold(model, convolution, norm)
        else:
            with model.graph.inserting_before(norm):  # hides the convolution from PT2E
                norm.replace_input_with(convolution, _alias(model, convolution))
    model.graph.eliminate_dead_code()
    model.recompile()


def _is_foldable(convolution: Node, norm: Node) -> bool:
    parameters = [n for n in arguments_of(convolution)[1:3] if n is not None]
    constants = all(n is None or n.op == "get_attr" for n in arguments_of(norm)[1:5])
    return len(convolution.users) == 1 and constants and all(is_own(n) for n in parameters)


def _alias(model: GraphModule, tensor: Node) -> Node:
    alias = model.graph.call_function(aten.alias.default, (tensor,))
    alias.meta = dict(tensor.meta)
    return alias


def _fold(model: GraphModule, convolution: Node, norm: Node) -> None:
    factor, shift = _affine(model, norm)
    _, weight_node, bias_node, *_ = (*arguments_of(convolution), None)
    weight = parameter_of(model, weight_node)
    set_parameter(model, weight_node, weight * along_outputs(convolution, weight, factor))
    if bias_node is None:
        _give_bias(model, convolution, weight_node, shift)
    else:
        set_parameter(model, bias_node, parameter_of(model, bias_node) * factor + shift)
    norm.replace_all_uses_with(convolution)
    model.graph.erase_node(norm)


def _affine(model: GraphModule, norm: Node) -> tuple[Tensor, Tensor]:
    """What an evaluated batch norm multiplies by and adds, float32 `[channels]`."""
    _, weight, bias, mean, variance, _, _, epsilon, *_ = arguments_of(norm)
    factor = (parameter_of(model, variance) + epsilon).rsqrt()
    factor = factor if weight is None else factor * parameter_of(model, weight)
    shift = -parameter_of(model, mean) * factor
    return factor, shift if bias is None else shift + parameter_of(model, bias)


def _give_bias(model: GraphModule, convolution: Node, weight_node: Node, shift: Tensor) -> None:
    name = f"{str(weight_node.target).replace('.', '_')}_folded_bias"
    model.register_parameter(name, torch.nn.Parameter(shift.clone(), requires_grad=False))
    with model.graph.inserting_before(convolution):
        bias = model.graph.get_attr(name)
    fake = weight_node.meta["val"].fake_mode if "val" in weight_node.meta else convolution.meta["val"].fake_mode
    bias.meta["val"] = fake.from_tensor(shift, static_shapes=True)
    convolution.args = (*convolution.args[:2], bias, *convolution.args[3:])
