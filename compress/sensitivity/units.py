"""What a plan decides: layers with weights, those together that cannot be told apart by a glob or share a weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.compress.quantize.placement import is_kept, module_paths
from edge.compress.sensitivity.branches import branches_of
from edge.compress.sensitivity.module_globs import EVERYTHING, covering
from edge.compress.sensitivity.unit_choices import PRECISIONS, Unit
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor
    from torch.fx import Node

    from edge.compress.precision_plan import PlannedPrecision, PrecisionPlan
    from edge.compress.quantize.config import QuantizeConfig
    from edge.compress.sensitivity.calibrated_graph import FoldedGraph

aten = torch.ops.aten
MULTIPLYING = {
    *(aten.conv1d.default, aten.conv2d.default, aten.conv3d.default, aten.linear.default),
    *(aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input),
}
_LOST = 2.0**-10  # of a weight's largest value, as `edge.compress.dialects.half_regions` has it


def find_units(graph: FoldedGraph, modalities: Sequence[str], branches: Sequence[str] = ()) -> tuple[Unit, ...]:
    """The units of a graph, in its order.

    INT8 is a choice where the placement has a rule for the layer and `keep_float` does not name it; FP16 where it can
    hold the layer's weights and `keep_fp32` does not name it.

    Args:
        graph: Its batch norms folded.
        modalities: Name their branches.
        branches: Globs that override that.

    Raises:
        ModelError: A weight is used outside any module, where no plan could name it, or there is none.
    """
    calls = [n for n in graph.module.graph.nodes if n.target in MULTIPLYING and n.all_input_nodes[1].op == "get_attr"]
    if not calls:
        raise ModelError("the model has no convolution or linear layer with weights", "there is nothing to plan")
    names = [_layer_name(call) for call in calls]
    groups = _tied(names, [str(call.all_input_nodes[1].target) for call in calls])
    placed = branches_of(names, modalities, branches)
    choices = dict.fromkeys(names, PRECISIONS)
    for name, call in zip(names, calls, strict=True):
        choices[name] = tuple(p for p in _choices(graph, call) if p in choices[name])
    return tuple(
        Unit(name=g[0], branch=placed[g[0]], layers=g, choices=tuple(p for p in PRECISIONS if _all_may(p, g, choices)))
        for g in groups
    )


def quantize_settings(
    precisions: Mapping[str, PlannedPrecision], units: Sequence[Unit], base: QuantizeConfig
) -> QuantizeConfig:
    """`base` with `keep_float` and `keep_fp32` that give every unit its precision in the `s8f16` graph.

    Where no unit is FP16, nothing is: additions and pools between FP32 layers stay FP32 too.

    Args:
        precisions: By unit.
        units: All of the model's.
        base: Its own two lists are replaced, for the units' choices honour them already.
    """
    names = [layer for unit in units for layer in unit.layers]
    floats = [layer for unit in units for layer in unit.layers if precisions[unit.name] != "int8"]
    wide = [layer for unit in units for layer in unit.layers if precisions[unit.name] == "fp32"]
    half = any(precisions[unit.name] == "fp16" for unit in units)
    keep_fp32 = covering(wide, names) if half else (EVERYTHING,)
    return base.model_copy(update={"keep_float": covering(floats, names), "keep_fp32": keep_fp32})


def precisions_of_plan(plan: PrecisionPlan, units: Iterable[Unit]) -> dict[str, PlannedPrecision]:
    """What a plan says of every unit: of tied layers the widest counts, and the next wider where it is no choice."""
    found: dict[str, PlannedPrecision] = {}
    for unit in units:
        asked = max((plan.of(layer) for layer in unit.layers), key=PRECISIONS.index)
        wide = PRECISIONS[PRECISIONS.index(asked) :]
        found[unit.name] = next(p for p in wide if p in unit.choices)
    return found


def _layer_name(call: Node) -> str:
    paths = module_paths(call)
    if not paths:
        raise ModelError(
            f"weight '{call.all_input_nodes[1].target}' is used outside any module, so that no plan can name it",
            "put the layer into a module of its own",
        )
    return paths[-1]


def _tied(names: Sequence[str], weights: Sequence[str]) -> list[tuple[str, ...]]:
    """Layers grouped where they share a weight, or where one's path is the start of another's."""
    parents = {name: name for name in names}

    def root(name: str) -> str:
        while parents[name] != name:
            name = parents[name]
        return name

    first: dict[str, str] = {}
    for name, weight in zip(names, weights, strict=True):
        parents[root(name)] = root(first.setdefault(weight, name))
    for name in parents:
        inner = (other for other in parents if other.startswith(f"{name}."))
        for other in inner:
            parents[root(other)] = root(name)
    groups: dict[str, list[str]] = {}
    for name in parents:
        groups.setdefault(root(name), []).append(name)
    return [tuple(group) for group in groups.values()]


def _choices(graph: FoldedGraph, call: Node) -> list[PlannedPrecision]:
    config = graph.config
    found: list[PlannedPrecision] = ["fp32"]
    if call in graph.quantizable and not is_kept(call, config.keep_float):
        found.append("int8")
    parameters = [graph.parameter(n) for n in call.all_input_nodes[1:] if n.op == "get_attr"]
    if all(map(_holds_in_half, parameters)) and not is_kept(call, config.keep_fp32):
        found.append("fp16")
    return found


def _all_may(
    precision: PlannedPrecision, group: Iterable[str], choices: Mapping[str, Sequence[PlannedPrecision]]
) -> bool:
    return all(precision in choices[name] for name in group)


def _holds_in_half(values: Tensor) -> bool:
    """Whether FP16 holds a weight: nothing overflows, and what is lost is nothing beside the largest value."""
    rounded = values.half().float()
    if not bool(torch.isfinite(rounded).all()):
        return False
    return bool((values - rounded).abs().max() <= _LOST * values.abs().max()) if values.numel() else True
