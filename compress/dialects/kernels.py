"""Which kernels ONNX Runtime really chooses for a graph: the proof that INT8 is computed as INT8."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import onnx
from pydantic import BaseModel, ConfigDict

from edge.runtime.capabilities import require_module
from edge.runtime.errors import ModelError

_INTEGER = {
    "convolutions": {"QLinearConv", "ConvInteger"},
    "linears": {"QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"},
    "additions": {"QLinearAdd"},
    "multiplications": {"QLinearMul"},
    "concatenations": {"QLinearConcat"},
}
_FLOAT = {
    "convolutions": {"Conv", "FusedConv", "NhwcFusedConv"},
    "linears": {"Gemm", "MatMul", "FusedGemm", "FusedMatMul"},
    "additions": {"Add"},
    "multiplications": {"Mul"},
    "concatenations": {"Concat"},
}
INTEGER_KERNELS = frozenset().union(*_INTEGER.values())
FLOAT_KERNELS = frozenset().union(*_FLOAT.values())


class KernelCount(BaseModel):
    """How many of one kind of layer run in integer kernels and how many in float ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    integer: int
    float: int


class KernelReport(BaseModel):
    """What ONNX Runtime made of a graph.

    Attributes:
        kinds: `convolutions`, `linears`, `additions`, `multiplications`, `concatenations`.
        conversions: Q and DQ nodes that are left.
        operators: Every operator with its count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: dict[str, KernelCount]
    conversions: int
    operators: dict[str, int]


def integer_kernels(model: onnx.ModelProto | bytes) -> KernelReport:
    """Lets ONNX Runtime optimize a graph for this CPU and counts the kernels in the result.

    Raises:
        ModelError: ONNX Runtime does not load the graph.
    """
    data = model if isinstance(model, bytes) else model.SerializeToString()
    graph = optimized_graph(data).graph
    constants = {t.name for t in graph.initializer}
    operators = Counter(n.op_type for n in graph.node)
    layers = Counter(n.op_type for n in graph.node if not _is_rescaling(n, constants))
    kinds = {
        kind: KernelCount(
            integer=sum(layers[op] for op in _INTEGER[kind]), float=sum(layers[op] for op in _FLOAT[kind])
        )
        for kind in _INTEGER
    }
    conversions = operators["QuantizeLinear"] + operators["DequantizeLinear"]
    return KernelReport(kinds=kinds, conversions=conversions, operators=dict(sorted(operators.items())))


def _is_rescaling(node: onnx.NodeProto, constants: set[str]) -> bool:
    """Additions and multiplications of one tensor with a constant join nothing: they are part of a layer."""
    return node.op_type in ("Add", "Mul") and any(i in constants for i in node.input)


def optimized_graph(data: bytes) -> onnx.ModelProto:
    """The graph as ONNX Runtime runs it on this CPU.

    Raises:
        ModelError: ONNX Runtime does not load the graph.
    """
    onnxruntime = require_module("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"ONNX Runtime refuses the graph ({str(error).splitlines()[0]})", "check it with onnx.checker"
            ) from error
        return onnx.load(str(path))
