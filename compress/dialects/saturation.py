"""uint8 levels that stop where int8 ones do.

Where a tensor cannot be negative, `u8` has 255 levels and int8 127 of the same step: values beyond the calibrated
ceiling come through. That is closer to the float model, but not to one that was trained through the rounding of INT8:
it has learned with the stop at 127, and may count on it as on a ReLU6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.compress.dialects.cleanup import tidy
from edge.compress.dialects.onnx_graph import OnnxGraph, make_node

if TYPE_CHECKING:
    import onnx

_LARGEST = 127
# Their results are values of their inputs: where those stop, they do.
_PICKING = {"MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Expand"}


def saturate_levels(u8: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a `u8` graph in which no tensor goes beyond level 127 from its zero point.

    A clip on the levels stands behind the Q, so that the layer before it stays in its integer kernel.

    Args:
        u8: What `write_u8` gave.
    """
    graph = OnnxGraph(u8)
    makers, readers = graph.producers(), graph.readers()
    for quantize in [n for n in graph.nodes if n.op_type == "QuantizeLinear"]:
        if np.any(graph.array(quantize.input[2])) or _stops_already(graph, makers, quantize):
            continue
        users = readers.get(quantize.output[0], [])
        if len(users) == 1 and users[0].op_type == "Clip":
            _lower_ceiling(graph, users[0])
        else:
            _clip_behind(graph, quantize)
    return tidy(graph.finish())


def _stops_already(graph: OnnxGraph, makers: dict[str, onnx.NodeProto], quantize: onnx.NodeProto) -> bool:
    maker = makers.get(quantize.input[0])
    if maker is None or maker.op_type not in _PICKING:
        return False
    read = [makers.get(name) for name in maker.input if name and name not in graph.constants]
    return all(n is not None and n.op_type == "DequantizeLinear" and n.input[1] == quantize.input[1] for n in read)


def _lower_ceiling(graph: OnnxGraph, clip: onnx.NodeProto) -> None:
    floor, ceiling = (int(graph.array(name)) for name in clip.input[1:3])
    clip.input[2] = graph.add_constant(np.array(max(floor, min(ceiling, _LARGEST)), np.uint8))


def _clip_behind(graph: OnnxGraph, quantize: onnx.NodeProto) -> None:
    result = quantize.output[0]
    quantize.output[0] = graph.fresh("levels")
    limits = [graph.add_constant(np.array(level, np.uint8)) for level in (0, _LARGEST)]
    clip = make_node("Clip", [quantize.output[0], *limits], result)
    graph.nodes.insert(graph.nodes.index(quantize) + 1, clip)  # in order, for shapes are inferred next
