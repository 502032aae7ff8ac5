"""Padding with zeros that stands in front of a convolution, taken into the convolution.

Models that came from TensorFlow pad on one side more than on the other, which torch's convolutions cannot say and
ONNX's can. In an INT8 graph the pad stands before a Q/DQ pair, `Pad -> Q -> DQ -> Conv`. Zero is level 0, so quantizing
and padding may change places, and the convolution pads its levels itself. Otherwise they would be brought to float,
padded, and brought back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

if TYPE_CHECKING:
    import onnx

    from edge.compress.dialects.onnx_graph import OnnxGraph

UNPADDED = 2  # leading dimensions, batch and channels, that no convolution pads


def merge_zero_pads(graph: OnnxGraph) -> None:
    """Lets convolutions pad for themselves, in place, where a pad of zeros stands before their Q."""
    for pad in [n for n in graph.nodes if n.op_type == "Pad"]:
        amounts = zero_padding(graph, pad)
        if amounts is None or not _pads_space_only(amounts):
            continue
        for quantize in _readers(graph, pad):
            if quantize.op_type == "QuantizeLinear":
                _merge(graph, pad, quantize, amounts)


def zero_padding(graph: OnnxGraph, node: onnx.NodeProto) -> list[int] | None:
    """What a `Pad` adds before and behind each dimension; None where that is not zeros, or is computed."""
    mode = next((a.s for a in node.attribute if a.name == "mode"), b"constant")
    amounts, value, axes = (*node.input[1:4], "", "", "")[:3]
    if mode != b"constant" or axes or amounts not in graph.constants:
        return None
    if value and (value not in graph.constants or np.any(graph.array(value))):
        return None
    return [int(n) for n in graph.array(amounts)]


def _pads_itself(node: onnx.NodeProto) -> bool:
    return any(a.name == "auto_pad" and a.s != b"NOTSET" for a in node.attribute)


def _merge(graph: OnnxGraph, pad: onnx.NodeProto, quantize: onnx.NodeProto, amounts: list[int]) -> None:
    """All convolutions behind one Q, unless something else needs what is padded."""
    pairs = _readers(graph, quantize)
    users = [user for pair in pairs for user in _readers(graph, pair)]
    outer = {*graph.outputs, *graph.captured}
    if (
        not users
        or not all(n.op_type == "DequantizeLinear" for n in pairs)
        or outer.intersection(name for n in (quantize, *pairs) for name in n.output)
    ):
        return
    if not all(_may_pad(user, {pair.output[0] for pair in pairs}) for user in users):
        return
    before = graph.producers().get(pad.input[0])
    has_levels = before is not None and before.op_type == "DequantizeLinear"
    if before is not None and has_levels and not _same_scale(graph, before, quantize):
        return  # two pairs in a row, and ONNX Runtime makes one of them, which rounds elsewhere
    for user in users:
        _add_pads(user, amounts)
    if not has_levels:
        quantize.input[0] = pad.input[0]
    for pair in pairs if has_levels else ():
        graph.redirect(pair.output[0], pad.input[0])


def _may_pad(user: onnx.NodeProto, padded: set[str]) -> bool:
    return user.op_type == "Conv" and user.input[0] in padded and not _pads_itself(user)


def _same_scale(graph: OnnxGraph, first: onnx.NodeProto, second: onnx.NodeProto) -> bool:
    pairs = zip(first.input[1:], second.input[1:], strict=True)
    return all(np.array_equal(graph.array(a), graph.array(b)) for a, b in pairs)


def _readers(graph: OnnxGraph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    return graph.readers().get(node.output[0], [])


def _pads_space_only(amounts: list[int]) -> bool:
    rank = len(amounts) // 2
    return min(amounts) >= 0 and not any(amounts[:UNPADDED] + amounts[rank : rank + UNPADDED])


def _add_pads(node: onnx.NodeProto, amounts: list[int]) -> None:
    rank = len(amounts) // 2
    added = amounts[UNPADDED:rank] + amounts[rank + UNPADDED :]
    own = next((list(a.ints) for a in node.attribute if a.name == "pads"), [0] * len(added))
    kept = [a for a in node.attribute if a.name != "pads"]
    total = helper.make_attribute("pads", [a + b for a, b in zip(own, added, strict=True)])
    copies = [type(a).FromString(a.SerializeToString()) for a in (*kept, total)]
    del node.attribute[:]
    node.attribute.extend(copies)
