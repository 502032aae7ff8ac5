"""Layers that sparse kernels exist for, found on the exported graph, so that modules of any make are read alike."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from torch.fx import Node

from edge.compress.aten_graph import call_arguments, export, operator_name, shape_of, tensor_names
from edge.compress.quantize.tracing import quiet
from edge.compress.sparsify.pattern import INPUT_AXIS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn
    from torch.export import ExportedProgram

    from edge.compress.aten_graph import Inputs
    from edge.compress.sparsify.config import SparsifyConfig

_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})
_SPARSE = _CONVOLUTIONS | {"linear"}
_WEIGHTED = _SPARSE | {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}


@dataclass(frozen=True)
class SparseCandidates:
    """The layers of a model.

    Attributes:
        eligible: Paths of the weights that can be 2:4 sparse, in the order of execution.
        dense: Layer to the reason why it stays dense.
    """

    eligible: tuple[str, ...]
    dense: dict[str, str]


def sparse_candidates(model: nn.Module, inputs: Inputs, config: SparsifyConfig) -> SparseCandidates:
    """Sorts convolutions and linear layers by whether a sparse kernel could run them.

    Args:
        model: Any module that torch.export takes; it is not changed.
        inputs: An example.
        config: Alignment, and what is to stay dense.

    Raises:
        ModelError: The model does not export.
    """
    eligible, dense = [], {}
    for path, calls in _calls_by_weight(export(model, inputs)).items():
        reason = _against(path, calls, config)
        if reason is None:
            eligible.append(path)
        else:
            dense[layer_of(path)] = reason
    return SparseCandidates(tuple(eligible), dense)


def layer_of(path: str) -> str:
    """The layer that a weight is of, by the name that its node has in the ONNX graph."""
    return path.removesuffix(".weight")


def _calls_by_weight(program: ExportedProgram) -> dict[str, list[Node]]:
    """Every node that reads a weight of a convolution or linear layer, by the weight's path."""
    paths = tensor_names(program)
    found: dict[str, list[Node]] = {}
    for node, weight in _weighted(program):
        path = paths.get(weight.name)
        if path is None:
            found[node.name] = []  # nobody's own weight
        elif path not in found:
            found[path] = list(weight.users)
    return found


def _weighted(program: ExportedProgram) -> Iterator[tuple[Node, Node]]:
    for node in program.graph.nodes:
        if node.op == "call_function" and operator_name(node) in _WEIGHTED:
            weight = call_arguments(node)["weight"]
            assert isinstance(weight, Node)
            yield node, weight


def _against(path: str, calls: list[Node], config: SparsifyConfig) -> str | None:
    """Why a weight stays dense; None where it need not."""
    if not calls:
        return "its weight is computed by other operators"
    if any(fnmatchcase(path, glob) for glob in config.keep):
        return "named by `keep`"
    reasons = (_against_call(path, node) for node in calls)
    first = next((reason for reason in reasons if reason is not None), None)
    if first is not None:
        return first
    channels = shape_of(call_arguments(calls[0])["weight"])[INPUT_AXIS]
    return f"{channels} input channels, no multiple of {config.align}" if channels % config.align else None


def _against_call(path: str, node: Node) -> str | None:
    operator, arguments = operator_name(node), call_arguments(node)
    if operator not in _SPARSE:
        return f"TensorRT has no sparse kernels for '{operator}', which reads its weight"
    if arguments.get("groups", 1) != 1:
        return "grouped: TensorRT has no sparse kernels for it (https://github.com/NVIDIA/TensorRT/issues/4054)"
    module = _module(node)
    if module != layer_of(path):  # as nn.MultiheadAttention does; pruning takes it apart into layers
        return f"read by {module or 'the model'} itself: no layer of its own, so that the graph could not name it"
    return None


def _module(node: Node) -> str:
    """Path of the innermost module around a node."""
    with quiet():  # torchao logs what CUDA libraries it misses
        from edge.compress.quantize.placement import module_paths

    return (module_paths(node) or ("",))[-1]
