"""A model with its sizes fixed to those of the calibration samples at batch 1, and all that follows from sizes folded.

Exporters write shapes as computations on shapes. What no input's values enter is computed once, by ONNX Runtime, and
becomes a constant; so compilers see fixed shapes, and the rules of placement see layers and not their plumbing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SHAPE_READERS = frozenset({"Shape", "Size"})
_DRAWN = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_LARGEST = 1 << 24  # values of a folded constant; what is larger is left to be computed


def fix_shapes(model: onnx.ModelProto, sample: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """A copy with fixed shapes; tensors that are not folded keep their names.

    Args:
        model: In canonical form.
        sample: One value per input, with the shape that it is fixed to.

    Raises:
        ModelError: ONNX Runtime cannot compute the model's constants.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for item in fixed.graph.input:
        dims = item.type.tensor_type.shape.dim
        for dim, size in zip(dims, sample[item.name].shape, strict=True):
            dim.dim_value = size
    for item in fixed.graph.output:
        for dim in item.type.tensor_type.shape.dim:
            dim.Clear()
    return _with_output_shapes(_folded(fixed, sample), sample)


def _folded(model: onnx.ModelProto, sample: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    graph = OnnxGraph(model)
    varying = _varying(graph)
    made = {name for node in graph.nodes for name in node.output if name}
    read = {name for node in graph.nodes if set(node.output) & varying for name in node.input}
    wanted = sorted((read & made) - varying - set(graph.outputs))
    for name, values in zip(wanted, _computed(model, wanted, sample), strict=True):
        if isinstance(values, np.ndarray) and values.size <= _LARGEST:
            graph.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
    folded = set(wanted) & set(graph.constants)
    graph.nodes = [node for node in graph.nodes if folded.isdisjoint(node.output)]
    return graph.finish()


def _varying(graph: OnnxGraph) -> set[str]:
    """Tensors that depend on the values of an input, or on a draw."""
    varying = set(graph.inputs) - set(graph.constants)
    for node in graph.nodes:  # in the graph's order, so one pass is enough
        has_graphs = any(a.HasField("g") or a.graphs for a in node.attribute)
        follows = node.op_type not in _SHAPE_READERS and not varying.isdisjoint(node.input)
        if follows or has_graphs or node.op_type in _DRAWN:
            varying.update(filter(None, node.output))
    return varying


def _computed(model: onnx.ModelProto, names: list[str], sample: Mapping[str, NDArray[Any]]) -> list[Any]:
    if not names:
        return []
    found = OnnxRuntimeEngine(with_outputs(model, names).SerializeToString()).run(dict(sample))
    return [found[name] for name in names]


def with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """A copy that gives these tensors instead of its outputs, and computes nothing else."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return OnnxGraph(copy).finish()


def _with_output_shapes(model: onnx.ModelProto, sample: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """Outputs say the shapes that they have on the sample."""
    found = OnnxRuntimeEngine(model.SerializeToString()).run(dict(sample))
    for item in model.graph.output:
        values = found[item.name]
        if not isinstance(values, np.ndarray):
            raise ModelError(f"output '{item.name}' is no tensor", "let the model give tensors only")
        shape = onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=size) for size in values.shape])
        item.type.tensor_type.shape.CopyFrom(shape)
    return model
