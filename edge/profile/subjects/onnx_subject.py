"""An ONNX file from anywhere, run by ONNX Runtime as it is: the same ruler for a graph that edge did not make."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx

from edge.graph.onnx_file import read_onnx, to_bytes
from edge.profile.contents import Subject
from edge.profile.subjects.onnx_layers import GraphSession, onnx_layer_times
from edge.profile.subjects.random_inputs import OpenInput, draw_inputs, settle_shapes
from edge.profile.subjects.timed import SubjectConfig, TimedSubject
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine, must_emulate
from edge.runtime.engines.weight_levels import has_seven_bit_weights
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_QUANTIZED = frozenset({"DequantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"})


def open_onnx_graph(path: Path, config: SubjectConfig) -> TimedSubject:
    """Loads the file and draws its inputs.

    INT8 runs in the kernels that ONNX Runtime picks, on every host, for it is time that is asked for here; where
    those kernels would not compute what the graph says, a note tells.

    Raises:
        ModelError: The file is no ONNX, or does not load.
        ConfigError: A shape is missing, or another engine is asked for.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    if config.engine == "tensorrt":
        raise ConfigError(
            f"{path.name} is an ONNX graph, which ONNX Runtime runs here",
            "build an engine of it and profile that, or leave --engine out",
        )
    model = read_onnx(path)
    content, dialect = to_bytes(model, str(path)), _dialect(model)
    inputs = declared_inputs(model)
    settled = settle_shapes(inputs, config.shapes, config.batch)
    feeds = draw_inputs(inputs, settled.shapes, config.seed)
    engine = OnnxRuntimeEngine(content, dialect, threads=config.threads, emulate_int8=False)
    session = GraphSession(content, config.threads, False, feeds)
    return TimedSubject(
        Subject(
            name=path.name,
            kind="onnx",
            digest=hashlib.sha256(content).hexdigest(),
            engine=engine.name,
            inputs=settled.shapes,
        ),
        lambda: engine.run(feeds),
        batch=settled.batch,
        threads=engine.thread_settings,
        side_by_side=True,
        layers=lambda rounds: onnx_layer_times(session, rounds),
        notes=(*settled.notes, *_saturation_notes(content, dialect)),
    )


def declared_inputs(model: onnx.ModelProto) -> dict[str, OpenInput]:
    """The inputs that a caller must give, by name.

    Raises:
        ConfigError: One is no tensor.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    found = {}
    for item in model.graph.input:
        if item.name in constants:
            continue
        if not item.type.HasField("tensor_type"):
            raise ConfigError(f"input '{item.name}' is no tensor", "export the model with tensors as inputs")
        kind = item.type.tensor_type
        shape = tuple(_extent(dim) for dim in kind.shape.dim)
        found[item.name] = OpenInput(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)
    return found


def _extent(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return int(dim.dim_value)
    return str(dim.dim_param) or None


def _dialect(model: onnx.ModelProto) -> str:
    """`int8`, or the type of most weights."""
    if any(node.op_type in _QUANTIZED for node in model.graph.node):
        return "int8"
    sizes = {onnx.TensorProto.FLOAT: 0, onnx.TensorProto.FLOAT16: 0}
    for tensor in model.graph.initializer:
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += int(np.prod(tensor.dims, dtype=np.int64))
    return "fp16" if sizes[onnx.TensorProto.FLOAT16] > sizes[onnx.TensorProto.FLOAT] else "fp32"


def _saturation_notes(content: bytes, dialect: str) -> tuple[str, ...]:
    if dialect != "int8" or not must_emulate(dialect) or has_seven_bit_weights(content):
        return ()
    return (
        "This processor's INT8 kernels saturate sums of products, so the graph's results may be wrong here: its time "
        "is of those kernels, not of the emulation that a bundle would run in.",
    )
