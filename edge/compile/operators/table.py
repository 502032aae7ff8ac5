"""Which ONNX operators the parser of each TensorRT takes, known without TensorRT, and which nodes it would not.

The facts and their sources are in `operators.yaml`. They are what the parser says of a node. That a node parses
does not mean that a kernel is found for it: the engine build has the last word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge.compile.operators.rules import OperatorRule
from edge.devices.version_order import at_least, version_numbers
from edge.graph.nodes import DEFAULT_DOMAINS, walk
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import onnx
    from numpy.typing import NDArray

    from edge.graph.nodes import GraphNode

# Their largest INT64 stands for "to the end", and cut off it still does.
_OPEN_ENDED = frozenset({"Loop", "Slice"})
MICROSOFT = "com.microsoft"
REPOSITORY = "https://github.com/onnx/onnx-tensorrt"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParserSource(_Strict):
    """Where a version's facts were read.

    Attributes:
        commit: Of `REPOSITORY`.
        files: In it.
    """

    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    files: tuple[str, ...] = Field(min_length=1)


class ParserOperators(_Strict):
    """What the ONNX parser of one TensorRT takes.

    Attributes:
        version: The known version, such as `10.3`; it stands for those up to the next known one.
        source: Where this was read.
        opset: Lowest and highest opset that it documents.
        types: Element types of tensors, in ONNX's words.
        operators: Of ONNX's own domain.
        microsoft: Of com.microsoft.
        custom: The parser's own, of any domain.
        uint8_operators: The operators that may read UINT8.
        local_functions: Whether it takes a model's own functions.
        int64_as_int32: Whether it casts INT64 to INT32, cutting values off.
        rules: What operators must be beyond their name.
    """

    version: str
    source: ParserSource
    opset: tuple[int, int]
    types: frozenset[str]
    operators: frozenset[str]
    microsoft: frozenset[str]
    custom: frozenset[str]
    uint8_operators: frozenset[str]
    local_functions: bool
    int64_as_int32: bool
    rules: tuple[OperatorRule, ...]

    def documents_opset(self, opset: int) -> bool:
        """Whether its documentation covers an opset; it parses newer ones without a word."""
        return self.opset[0] <= opset <= self.opset[1]


@dataclass(frozen=True, slots=True)
class UnsupportedLayer:
    """A node that the parser does not take.

    Attributes:
        name: Path of its module, or the tensor that it makes; in a subgraph behind the name of the node around it.
        operator: Such as `Conv`; with its domain where that is not ONNX's.
        reason: What the parser does not take of it.
    """

    name: str
    operator: str
    reason: str


class _Version(_Strict):
    source: ParserSource
    opset: tuple[int, int]
    types: frozenset[str] | None = None
    adds: frozenset[str] = frozenset()
    removes: frozenset[str] = frozenset()
    microsoft: frozenset[str] = frozenset()
    custom: frozenset[str] = frozenset()
    local_functions: bool | None = None
    int64_as_int32: bool | None = None


class _Table(_Strict):
    versions: dict[str, _Version]
    uint8_operators: frozenset[str]
    rules: tuple[OperatorRule, ...]


def known_versions() -> tuple[str, ...]:
    """The versions of TensorRT that have facts of their own, oldest first."""
    return tuple(sorted(_table().versions, key=version_numbers))


def parser_operators(tensorrt_version: str) -> ParserOperators:
    """What the parser of a TensorRT takes: the facts of the nearest known version at or below the one asked for.

    Args:
        tensorrt_version: Such as `10.3` or `10.16.1.11`.

    Raises:
        ConfigError: It is no version number, or older than all that are known.
    """
    known = [version for version in known_versions() if at_least(tensorrt_version, version)]
    if not known:
        raise ConfigError(
            f"nothing is known of the ONNX parser of TensorRT {tensorrt_version}",
            f"name one from {known_versions()[0]} on; facts are at hand of {', '.join(known_versions())}",
        )
    return _merged(tuple(known))


def unsupported_layers(model: onnx.ModelProto, tensorrt_version: str) -> tuple[UnsupportedLayer, ...]:
    """The nodes that the parser of a TensorRT would not take, in the order of the graph, each once.

    Bodies of `If`, `Loop`, `Scan` and of the model's own functions are looked into. What the graph does not tell (types
    behind an unknown operator, constants in files of their own) is taken for allowed.

    Raises:
        ConfigError: The version is not known.
        ModelError: The graph contradicts itself.
    """
    facts = parser_operators(tensorrt_version)
    functions = {(f.domain, f.name) for f in model.functions}
    found = []
    for node in walk(model):
        reason = next(_reasons(node, facts, functions), None)
        if reason is not None:
            found.append(UnsupportedLayer(node.name, _qualified(node), reason))
    return tuple(found)


def _reasons(node: GraphNode, facts: ParserOperators, functions: set[tuple[str, str]]) -> Iterator[str]:
    domain, operator = node.proto.domain, node.operator
    title = f"TensorRT {facts.version}"
    if operator in facts.custom:
        return
    if (domain, operator) in functions:
        if not facts.local_functions:
            yield f"the parser of {title} does not take a model's own functions"
        elif operator in facts.operators:
            yield f"the parser looks up names alone and takes it for ONNX's {operator}, not for the model's function"
        return
    if domain in DEFAULT_DOMAINS or (domain == MICROSOFT and operator in facts.microsoft):
        if operator not in facts.operators:
            yield f"the parser of {title} has no such operator; it would look for a plugin of that name"
            return
    elif operator in facts.operators:
        yield f"the parser looks up names alone and takes it for ONNX's {operator}"
        return
    else:
        yield f"it is no operator of ONNX; the parser of {title} would look for a plugin of that name"
        return
    yield from (rule.reason for rule in facts.rules if operator in rule.operators and rule.breaks(node, facts.types))
    yield from _type_reasons(node, facts)


def _type_reasons(node: GraphNode, facts: ParserOperators) -> Iterator[str]:
    elements = {node.element(name) for name in (*node.proto.input, *node.proto.output) if name} - {"UNDEFINED"}
    for element in sorted(elements - facts.types):
        yield f"TensorRT {facts.version} has no tensors of {element}"
    if node.operator not in facts.uint8_operators and "UINT8" in {node.element(n) for n in node.proto.input if n}:
        yield "it reads UINT8, which only the network's inputs and outputs may be; cast it first"
    integers = [name for name in node.proto.input if node.element(name) == "INT64"]
    narrow = facts.int64_as_int32 and node.operator not in _OPEN_ENDED
    if narrow and any(_is_wide(node.values(name)) for name in integers):
        yield f"it reads an INT64 constant beyond the range of INT32, to which TensorRT {facts.version} casts"


def _is_wide(values: NDArray[Any] | None) -> bool:
    return values is not None and bool((np.abs(values.astype(np.float64)) > np.iinfo(np.int32).max).any())


def _qualified(node: GraphNode) -> str:
    domain = node.proto.domain
    return node.operator if domain in DEFAULT_DOMAINS else f"{domain}::{node.operator}"


@cache
def _merged(versions: tuple[str, ...]) -> ParserOperators:
    """The newest of `versions`, with all that those before it hold."""
    table = _table()
    steps = [table.versions[version] for version in versions]
    operators: frozenset[str] = frozenset()
    for step in steps:
        operators = (operators - step.removes) | step.adds
    return ParserOperators(
        version=versions[-1],
        source=steps[-1].source,
        opset=steps[-1].opset,
        types=next(step.types for step in reversed(steps) if step.types is not None),
        operators=operators,
        microsoft=frozenset().union(*(step.microsoft for step in steps)),
        custom=frozenset().union(*(step.custom for step in steps)),
        uint8_operators=table.uint8_operators,
        local_functions=_last(step.local_functions for step in steps),
        int64_as_int32=_last(step.int64_as_int32 for step in steps),
        rules=tuple(rule for rule in table.rules if _holds(rule, versions[-1])),
    )


def _last(said: Iterable[bool | None]) -> bool:
    """What the newest version that speaks of it says."""
    return [value for value in said if value is not None][-1]


def _holds(rule: OperatorRule, version: str) -> bool:
    begun = rule.since is None or at_least(version, rule.since)
    return begun and (rule.before is None or not at_least(version, rule.before))


@cache
def _table() -> _Table:
    path = Path(str(files("edge.compile.operators").joinpath("operators.yaml")))
    return validated(_Table, read_yaml(path), path)
