"""FP16 for all of a program that is not INT8: what `.half()` is to a model, done to an exported program."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate

from edge.compress.quantize.tracing import quiet, trace

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

_QUANTIZED = "quantized_decomposed"


class _Half(nn.Module):
    """FP32 tensors in and out, FP16 between."""

    def __init__(self, inner: GraphModule) -> None:
        super().__init__()
        self.inner = inner

    def train(self, mode: bool = True) -> _Half:
        """Exported modules refuse to switch, and have nothing to switch."""
        return self

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = [t.half() if t.dtype == torch.float32 else t for t in tensors]
        with torch.fx.traceback.preserve_node_meta():  # the modules that nodes came from, which name the layers
            outputs = torch.fx.Interpreter(self.inner).run(*given)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        return tuple(t.float() if t.dtype == torch.float16 else t for t in outputs)


def halved(program: ExportedProgram) -> ExportedProgram:
    """A program of FP16 weights and arithmetic, with FP32 inputs and outputs; scales of Q/DQ stay FP32.

    Args:
        program: With fixed shapes; left as it is.

    Raises:
        ModelError: An operator does not take FP16.
    """
    with quiet():
        module: GraphModule = copy.deepcopy(program.module())
    scales = {str(n.target) for node in _quantized(module) for n in node.all_input_nodes if n.op == "get_attr"}
    for node in _quantized(module):
        if "dequantize" in str(node.target):
            node.kwargs = {**node.kwargs, "out_dtype": torch.float16}
    _halve_types(module)
    module.recompile()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if name not in scales and tensor.dtype == torch.float32:
            tensor.data = tensor.data.half()
    return trace(_Half(module), _examples(program))


def _quantized(module: GraphModule) -> list[Node]:
    return [n for n in module.graph.nodes if n.op == "call_function" and _QUANTIZED in str(n.target)]


def _halve_types(module: GraphModule) -> None:
    """Lets what a program makes or casts as FP32 be FP16: exported, a `.to(x.dtype)` says FP32 for good."""
    for node in list(module.graph.nodes):
        if node.op != "call_function" or _QUANTIZED in str(node.target):
            continue
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
            continue
        node.args, node.kwargs = map_aggregate((node.args, node.kwargs), _half_type)
        value = node.meta.get("val")
        made = not node.all_input_nodes and isinstance(value, Tensor) and value.dtype == torch.float32
        if made and any(argument.name == "dtype" for argument in node.target._schema.arguments):
            node.kwargs = {**node.kwargs, "dtype": torch.float16}


def _half_type(argument: Any) -> Any:
    return torch.float16 if argument is torch.float32 else argument


def _examples(program: ExportedProgram) -> tuple[Tensor, ...]:
    """Zeros in the shapes of the program's inputs."""
    inputs = set(program.graph_signature.user_inputs)
    values = [n.meta["val"] for n in program.graph.nodes if n.op == "placeholder" and n.name in inputs]
    return tuple(torch.zeros(tuple(int(e) for e in v.shape), dtype=v.dtype) for v in values)
