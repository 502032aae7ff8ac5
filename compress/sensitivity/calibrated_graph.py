"""One float graph and one pass over the calibration set, from which the scales of every placement of Q/DQ follow.

A layer's Q/DQ pairs stand where `PlacementQuantizer` puts them when the others are kept in float; its scales are those
that PT2E would find, because the ranges of tensors that share a scale add up. So a sweep over layers exports once,
calibrates once, and only switches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import GraphModule, Interpreter
from torchao.quantization.pt2e.quantizer import SharedQuantizationSpec

from edge.compress.quantize.equalization import equalize_layers
from edge.compress.quantize.observers import ActivationObserver, RunningSamples
from edge.compress.quantize.parameters import parameter_of
from edge.compress.quantize.placement import WEIGHTED, PlacementQuantizer, module_paths
from edge.compress.quantize.pt2e import export_float
from edge.compress.quantize.tracing import quiet
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor, nn
    from torch.fx import Node
    from torchao.quantization.pt2e.quantizer import QuantizationSpec, QuantizationSpecBase

    from edge.compress.quantize.config import QuantizeConfig

ANNOTATION = "quantization_annotation"
Edge = tuple["Node", "Node"]  # a tensor and who reads it


@dataclass(frozen=True)
class QdqPlacement:
    """Where INT8 stands for one choice of layers.

    Attributes:
        scales: Step of every INT8 tensor, by the tensor and its reader.
        weights: How each quantized layer's weight is rounded.
    """

    scales: dict[Edge, float]
    weights: dict[Node, QuantizationSpec]


@dataclass(frozen=True, eq=False)
class FoldedGraph:
    """An exported float graph; made by `fold_graph`.

    Attributes:
        module: Batch norms folded, layers equalised if asked, dynamic batch; never changed.
        config: How it is quantized.
        quantizable: Layers that become INT8 if nothing is kept in float.
    """

    module: GraphModule
    config: QuantizeConfig
    quantizable: frozenset[Node]

    def parameter(self, node: Node) -> Tensor:
        """The values of a `get_attr` node."""
        return parameter_of(self.module, node).detach()


@dataclass(frozen=True, eq=False)
class CalibratedGraph(FoldedGraph):
    """Made by `calibrate_graph`.

    Attributes:
        batches: The calibration set.
        ranges: What each tensor took that any placement may make INT8.
    """

    batches: tuple[tuple[Tensor, ...], ...]
    ranges: dict[Node, ActivationObserver]
    _group_scales: dict[frozenset[Node], float] = field(default_factory=dict)

    def place(self, keep_float: Sequence[str]) -> QdqPlacement:
        """Where Q/DQ pairs stand if the named modules stay float, with their scales."""
        annotations = _annotate(self.module, self.config, keep_float)
        edges, weights = _split(annotations)
        members: dict[Edge, set[Node]] = {}
        for edge, anchor in edges.items():
            members.setdefault(anchor, set()).add(edge[0])
        scales = {anchor: self._scale(frozenset(tensors)) for anchor, tensors in members.items()}
        return QdqPlacement({edge: scales[anchor] for edge, anchor in edges.items()}, weights)

    def _scale(self, tensors: frozenset[Node]) -> float:
        if tensors not in self._group_scales:
            group = _observer(self.config)
            for tensor in tensors:
                group.range.merge(self.ranges[tensor].range)
            self._group_scales[tensors] = float(group.calculate_qparams()[0])
        return self._group_scales[tensors]


def fold_graph(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    calibration: Sequence[tuple[Tensor, ...]],
    config: QuantizeConfig,
) -> FoldedGraph:
    """Exports a model, folds its batch norms, and equalises layers where `config` says so.

    Raises:
        ModelError: It does not export.
        DataError: `calibration` is empty.
    """
    if not calibration:
        raise DataError("the calibration set is empty", "calibrate with at least one sample of the train split")
    module = export_float(model, example_inputs, config.max_batch)
    with quiet(), torch.no_grad():
        if config.equalize != "off":
            equalize_layers(module, calibration, config.equalize)
    _, weights = _split(_annotate(module, config, ()))
    return FoldedGraph(module, config, frozenset(weights))


def calibrate_graph(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    calibration: Iterable[tuple[Tensor, ...]],
    config: QuantizeConfig,
) -> CalibratedGraph:
    """Exports a model once and watches its tensors on the calibration set.

    Args:
        model: Float module with positional tensor inputs, batch first; left as it is.
        example_inputs: One tensor per input.
        calibration: Batches of inputs.
        config: Observer and so on; `keep_float` and `keep_fp32` narrow what a plan may choose.

    Raises:
        ModelError: The model does not export.
        DataError: `calibration` is empty, or an activation is NaN or infinite on it.
    """
    batches = tuple(calibration)
    folded = fold_graph(model, example_inputs, batches, config)
    edges, _ = _split(_annotate(folded.module, config, ()))
    ranges = {tensor: _observer(config) for tensor, _ in edges}
    for tensor, observer in ranges.items():
        observer.layer = (module_paths(tensor) or (tensor.name,))[-1]
    watcher, first = _Watcher(folded.module, ranges), 0
    with torch.no_grad():
        for inputs in batches:
            for observer in ranges.values():
                observer.batch = RunningSamples(first, tuple(str(first + i) for i in range(len(inputs[0]))))
            watcher.run(*inputs)
            first += len(inputs[0])
    return CalibratedGraph(folded.module, config, folded.quantizable, batches, ranges)


class _Watcher(Interpreter):
    def __init__(self, module: GraphModule, ranges: dict[Node, ActivationObserver]) -> None:
        super().__init__(module)
        self._ranges = ranges

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n in self._ranges:
            self._ranges[n](result)
        return result


def _observer(config: QuantizeConfig) -> ActivationObserver:
    return ActivationObserver(
        observer=config.observer,
        percentile=config.percentile,
        dtype=torch.int8,
        qscheme=torch.per_tensor_symmetric,
        quant_min=-128,
        quant_max=127,
    )


def _annotate(
    module: GraphModule, config: QuantizeConfig, keep_float: Sequence[str]
) -> dict[Node, dict[Node, QuantizationSpecBase]]:
    """What the quantizer wants of each node's inputs; the graph is left without a trace of it."""
    PlacementQuantizer(tuple(keep_float), config.observer, config.percentile, config.weight_bits).annotate(module)
    marked = [n for n in module.graph.nodes if ANNOTATION in n.meta]
    return {n: dict(n.meta.pop(ANNOTATION).input_qspec_map) for n in marked}


def _split(
    annotations: dict[Node, dict[Node, QuantizationSpecBase]],
) -> tuple[dict[Edge, Edge], dict[Node, QuantizationSpec]]:
    """INT8 edges, each with the first that has its scale, and the weights' specifications by layer."""
    edges: dict[Edge, Edge] = {}
    weights: dict[Node, QuantizationSpec] = {}
    for reader, inputs in annotations.items():
        for tensor, spec in inputs.items():
            if isinstance(spec, SharedQuantizationSpec):
                edges[tensor, reader] = spec.edge_or_node
            elif reader.target in WEIGHTED and tensor is reader.all_input_nodes[1]:
                weights[reader] = spec
            else:
                edges[tensor, reader] = (tensor, reader)
    return edges, weights
