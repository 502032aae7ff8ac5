"""From a torch module, float or quantized, to one ONNX graph of batch 1."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edge.compress.dialects.cleanup import tidy
from edge.compress.quantize.placement import module_paths
from edge.compress.quantize.tracing import quiet, trace
from edge.runtime.capabilities import require_module
from edge.runtime.engines.onnxruntime import must_emulate
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.compress.program.file import Program

OPSET = 18
logger = logging.getLogger(__name__)


def export_onnx(
    model: nn.Module, example_inputs: tuple[Tensor, ...], input_names: Sequence[str], output_names: Sequence[str]
) -> onnx.ModelProto:
    """Exports at opset 18 with the batch fixed to 1, checks the graph and compares it with the module.

    Args:
        model: Module with positional tensor inputs; a quantized one becomes Q/DQ pairs with int8 weights.
        example_inputs: One tensor per input, batch 1.
        input_names: Names of the graph's inputs.
        output_names: Names of its outputs.

    Raises:
        ModelError: The module does not export, or its graph is not valid or computes something else.
    """
    _check_arguments(example_inputs, input_names)
    with quiet(), torch.no_grad():
        expected = _outputs(model, example_inputs)
        if len(expected) != len(output_names):
            raise ModelError(f"the model has {len(expected)} outputs but {len(output_names)} names", "name each one")
        graph = tidy(_export(trace(model, example_inputs), example_inputs, input_names, output_names))
    check_graph(graph)
    error = largest_error(graph, dict(zip(input_names, example_inputs, strict=True)), expected)
    logger.info("exported %d bytes, largest difference from torch %.3g", graph.ByteSize(), error)
    return graph


def export_program(program: Program) -> onnx.ModelProto:
    """The ONNX graph of an exported program with fixed shapes, checked as ONNX.

    Raises:
        ModelError: An operator has no ONNX form, or the graph is not valid.
    """
    inputs = set(program.exported.graph_signature.user_inputs)
    values = [n.meta["val"] for n in program.exported.graph.nodes if n.op == "placeholder" and n.name in inputs]
    examples = tuple(torch.zeros(tuple(int(e) for e in v.shape), dtype=v.dtype) for v in values)
    with quiet(), torch.no_grad():
        graph = tidy(_export(program.exported, examples, program.input_names, program.output_names))
    check_graph(graph)
    return graph


def check_graph(graph: onnx.ModelProto) -> None:
    """Runs onnx.checker with shape inference.

    Raises:
        ModelError: The graph is not valid ONNX.
    """
    try:
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:
        raise ModelError(
            f"the exported graph is not valid ONNX ({first_line(error)})", "report it with the model"
        ) from error


def largest_error(graph: onnx.ModelProto, inputs: dict[str, Tensor], expected: Sequence[Tensor]) -> float:
    """Largest absolute difference between ONNX Runtime's outputs and `expected`.

    Raises:
        ModelError: ONNX Runtime does not load the graph.
    """
    feeds = {name: np.ascontiguousarray(t.detach().cpu().numpy()) for name, t in inputs.items()}
    found = run_graph(graph, feeds)
    pairs = zip(found, (t.detach().cpu().numpy() for t in expected), strict=True)
    return max(float(np.abs(a - b).max(initial=0.0)) for a, b in pairs)


def run_graph(graph: onnx.ModelProto, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """One run in ONNX Runtime on the CPU, outputs in the graph's order.

    INT8 is emulated in float on hosts whose integer kernels saturate, as a bundle's engine does there.

    Raises:
        ModelError: ONNX Runtime does not load or run the graph.
    """
    onnxruntime = require_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if must_emulate("u8"):
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
        taken = {i.name for i in session.get_inputs()}
        return list(session.run(None, {k: v for k, v in feeds.items() if k in taken}))
    except Exception as error:
        raise ModelError(f"ONNX Runtime refuses the graph ({first_line(error)})", "report it with the model") from error


def _export(
    program: torch.export.ExportedProgram,
    example_inputs: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> onnx.ModelProto:
    try:
        exported = torch.onnx.export(
            program,
            example_inputs,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=list(input_names),
            output_names=list(output_names),
            verbose=False,
        )
    except Exception as error:  # wraps whatever the translation of an operator raised
        raise ModelError(_untranslated(program, error), "rewrite that layer with operators that ONNX has") from error
    assert exported is not None
    return exported.model_proto


def _untranslated(program: torch.export.ExportedProgram, error: BaseException) -> str:
    """Names the operator without an ONNX form, and its layer."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    said = re.search(r"target=torch\.ops\.\w+\.(\w+)", " ".join(str(cause) for cause in causes))
    for node in program.graph.nodes:
        if said and node.op == "call_function" and said[1] in str(node.target):
            layer = (module_paths(node) or ("forward",))[-1]
            return f"layer '{layer}' does not export to ONNX (operator {node.target})"
    return f"the model does not export to ONNX ({first_line(causes[-1])})"


def _check_arguments(example_inputs: tuple[Tensor, ...], input_names: Sequence[str]) -> None:
    if len(example_inputs) != len(input_names):
        raise ModelError(f"{len(example_inputs)} example inputs but {len(input_names)} input names", "name each one")
    for name, tensor in zip(input_names, example_inputs, strict=True):
        if tensor.ndim < 1 or len(tensor) != 1:
            raise ModelError(f"example input '{name}' has shape {tuple(tensor.shape)}", "give it a batch of 1")


def _outputs(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What the module gives in evaluation."""
    graph_module = isinstance(model, torch.fx.GraphModule)
    training = model.training
    if not graph_module:
        model.eval()
    try:
        outputs = model(*inputs)
    finally:
        if not graph_module:
            model.train(training)
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    if not isinstance(outputs, tuple | list) or not all(isinstance(t, Tensor) for t in outputs):
        raise ModelError(f"the model returns {type(outputs).__name__}", "return a tensor or a tuple of tensors")
    return tuple(outputs)
