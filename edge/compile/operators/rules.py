"""What TensorRT's parser asks of an operator beyond its name: the rules of `operators.yaml`, tried on a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import onnx
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.graph.nodes import GraphNode

CheckName = Literal[
    "attribute_values",
    "constant_input",
    "equal_ranks",
    "first_output_only",
    "given_input",
    "inference_dropout",
    "input_rank",
    "input_types",
    "integer_remainder",
    "nearest_rounding",
    "numeric_constant",
    "plain_equation",
    "positive_scale",
    "same_activations",
    "signed_levels",
    "target_type",
    "zero_zero_point",
]
INTEGERS = frozenset({"INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64"})
_GATES = {"GRU": 2, "LSTM": 3, "RNN": 1}


class OperatorRule(BaseModel):
    """One restriction.

    Attributes:
        operators: Those that it is for.
        check: What is looked at; the fields below say what must be found.
        reason: Why a node that breaks it is not taken.
        since: First TensorRT that it holds in.
        before: First TensorRT that it no longer holds in.
        attribute: For `attribute_values`: its name; a node without it passes.
        values: For `attribute_values`: what it, or each of its items, may be.
        input: For checks on one input: its index.
        types: For `input_types`: element types that it may have.
        ranks: For `input_rank`: numbers of dimensions that it may have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    operators: tuple[str, ...] = Field(min_length=1)
    check: CheckName
    reason: str = Field(min_length=1)
    since: str | None = None
    before: str | None = None
    attribute: str | None = None
    values: tuple[int | str, ...] = ()
    input: int = 0
    types: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()

    def breaks(self, node: GraphNode, types: frozenset[str]) -> bool:
        """Whether a node breaks it; what the graph does not tell is taken for allowed.

        Args:
            node: One of `operators`.
            types: Element types that this TensorRT has.
        """
        return not _CHECKS[self.check](node, self, types)


def _attribute_values(node: GraphNode, rule: OperatorRule, _types: frozenset[str]) -> bool:
    value = node.attribute(str(rule.attribute))
    items = value if isinstance(value, list) else [] if value is None else [value]
    return all(item in rule.values for item in items)


def _constant_input(node: GraphNode, rule: OperatorRule, _types: frozenset[str]) -> bool:
    name = node.input(rule.input)
    return not name or node.is_constant(name)


def _given_input(node: GraphNode, rule: OperatorRule, _types: frozenset[str]) -> bool:
    return bool(node.input(rule.input))


def _input_rank(node: GraphNode, rule: OperatorRule, _types: frozenset[str]) -> bool:
    rank = node.rank(node.input(rule.input))
    return rank is None or rank in rule.ranks


def _input_types(node: GraphNode, rule: OperatorRule, _types: frozenset[str]) -> bool:
    return node.element(node.input(rule.input)) in {*rule.types, "UNDEFINED"}


def _first_output_only(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    return not any(node.proto.output[1:])


def _zero_zero_point(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    values = node.values(node.input(2))
    return values is None or not values.any()


def _signed_levels(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    """ONNX's default without zero point and `output_dtype` is UINT8, where TensorRT's is INT8."""
    if node.operator == "DequantizeLinear":
        return node.element(node.input(0)) != "UINT8"
    if node.input(2):
        return node.element(node.input(2)) != "UINT8"
    return bool(node.attribute("output_dtype", 0) not in (0, onnx.TensorProto.UINT8))


def _positive_scale(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    values = node.values(node.input(1))
    return values is None or bool((values > 0).all())


def _nearest_rounding(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    mapped = node.attribute("coordinate_transformation_mode") == "tf_half_pixel_for_nn"
    return not mapped or node.attribute("nearest_mode", "round_prefer_floor") == "round_prefer_floor"


def _inference_dropout(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    if not node.input(2):
        return True
    values = node.values(node.input(2))
    return values is not None and not values.any()


def _same_activations(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    named = node.attribute("activations") or []
    activations = [item.decode() if isinstance(item, bytes) else item for item in named]
    count = _GATES[node.operator]
    return node.attribute("direction") != "bidirectional" or activations[:count] == activations[count:]


def _integer_remainder(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    return bool(node.attribute("fmod", 0)) or node.element(node.input(0)) in {*INTEGERS, "UNDEFINED"}


def _target_type(node: GraphNode, _rule: OperatorRule, types: frozenset[str]) -> bool:
    return onnx.TensorProto.DataType.Name(node.attribute("to", 0)) in types


def _numeric_constant(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    refused = {"sparse_value", "value_string", "value_strings"}
    return not refused.intersection(a.name for a in node.proto.attribute)


def _plain_equation(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    equation = str(node.attribute("equation", "")).replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    return "." not in equation and all(len(set(term)) == len(term) for term in terms)


def _equal_ranks(node: GraphNode, _rule: OperatorRule, _types: frozenset[str]) -> bool:
    branches = [node.attribute(name) for name in ("then_branch", "else_branch")]
    ranks = [[_rank_of(output) for output in branch.output] for branch in branches if branch is not None]
    return all(None in pair or len(set(pair)) == 1 for pair in zip(*ranks, strict=False))


def _rank_of(value: onnx.ValueInfoProto) -> int | None:
    kind = value.type.tensor_type
    return len(kind.shape.dim) if kind.HasField("shape") else None


_CHECKS: dict[str, Callable[[GraphNode, OperatorRule, frozenset[str]], bool]] = {
    "attribute_values": _attribute_values,
    "constant_input": _constant_input,
    "equal_ranks": _equal_ranks,
    "first_output_only": _first_output_only,
    "given_input": _given_input,
    "inference_dropout": _inference_dropout,
    "input_rank": _input_rank,
    "input_types": _input_types,
    "integer_remainder": _integer_remainder,
    "nearest_rounding": _nearest_rounding,
    "numeric_constant": _numeric_constant,
    "plain_equation": _plain_equation,
    "positive_scale": _positive_scale,
    "same_activations": _same_activations,
    "signed_levels": _signed_levels,
    "target_type": _target_type,
    "zero_zero_point": _zero_zero_point,
}
