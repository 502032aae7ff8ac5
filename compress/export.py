"""From a torch module, float or quantized, to one ONNX graph of batch 1."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edge.compress.quantize.pt2e import quiet
from edge.compress.quantize.tidy import tidy
from edge.runtime.capabilities import require_module
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
        expected = _as_tuple(model(*example_inputs))
        if len(expected) != len(output_names):
            raise ModelError(
                f"the model has {len(expected)} outputs but {len(output_names)} names", "name each one"
            )
        graph = tidy(_export(model, example_inputs, input_names, output_names))
    check_graph(graph)
    error = largest_error(graph, dict(zip(input_names, example_inputs, strict=True)), expected)
    logger.info("exported %d bytes, largest difference from torch %.3g", graph.ByteSize(), error)
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
            f"the exported graph is not valid ONNX ({_first_line(error)})", "report it with the model"
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


def run_graph(graph: onnx.ModelProto, feeds: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    """One run in ONNX Runtime on the CPU, outputs in the graph's order.

    Raises:
        ModelError: ONNX Runtime does not load or run the graph.
    """
    onnxruntime = require_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
        taken = {i.name for i in session.get_inputs()}
        return list(session.run(None, {k: v for k, v in feeds.items() if k in taken}))
    except Exception as error:
        raise ModelError(
            f"ONNX Runtime refuses the graph ({_first_line(error)})", "report it with the model"
        ) from error


def _export(
    model: nn.Module, example_inputs: tuple[Tensor, ...], input_names: Sequence[str], output_names: Sequence[str]
) -> onnx.ModelProto:
    training = model.training
    if not isinstance(model, torch.fx.GraphModule):
        model.eval()
    try:
        program = torch.export.export(model, example_inputs, strict=False)
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
        assert exported is not None
        return exported.model_proto
    except Exception as error:
        raise ModelError(
            f"the model does not export to ONNX ({_first_line(error)})", "rewrite that layer"
        ) from error
    finally:
        if not isinstance(model, torch.fx.GraphModule):
            model.train(training)


def _check_arguments(example_inputs: tuple[Tensor, ...], input_names: Sequence[str]) -> None:
    if len(example_inputs) != len(input_names):
        raise ModelError(
            f"{len(example_inputs)} example inputs but {len(input_names)} input names", "name each one"
        )
    for name, tensor in zip(input_names, example_inputs, strict=True):
        if tensor.ndim < 1 or len(tensor) != 1:
            raise ModelError(f"example input '{name}' has shape {tuple(tensor.shape)}", "give it a batch of 1")


def _as_tuple(outputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
