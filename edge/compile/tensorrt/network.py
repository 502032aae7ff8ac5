"""A network in TensorRT's own form, parsed from an ONNX file; what the parser refuses is named layer by layer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.compile.tensorrt.library import TensorRTLibrary
from edge.runtime.engines.tensorrt_log import make_logger
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from edge.compile.tensorrt.engine_config import EngineConfig

NAMED_PROBLEMS = 8


@dataclass(frozen=True, slots=True)
class ParserProblem:
    """One node that TensorRT does not take.

    Attributes:
        layer: Path of its module, or the node's name.
        operator: ONNX operator; empty where the problem is of no node.
        message: What the parser says, in one line.
    """

    layer: str
    operator: str
    message: str

    def __str__(self) -> str:
        if not self.operator:
            return f"{self.layer}: {self.message}"
        return f"layer '{self.layer}' ({self.operator}): {self.message}"


class ParserError(ModelError):
    """TensorRT's parser refuses a graph.

    Args:
        title: Of the TensorRT that refused it.
        problems: Each node that it does not take.

    Attributes:
        title: As given.
        problems: As given.
    """

    def __init__(self, title: str, problems: tuple[ParserProblem, ...]) -> None:
        shown = "; ".join(str(problem) for problem in problems[:NAMED_PROBLEMS])
        more = f" and {len(problems) - NAMED_PROBLEMS} more" if len(problems) > NAMED_PROBLEMS else ""
        super().__init__(f"{title} does not take {shown}{more}", "rewrite these layers with operators that it has")
        self.title = title
        self.problems = problems


@dataclass(frozen=True, slots=True)
class ParsedNetwork:
    """A network with all that must outlive it.

    Attributes:
        library: The TensorRT that made it.
        typed: Whether the graph's types bind the compiler.
        builder: Makes the engine.
        network: Its definition.
        logger: Holds what TensorRT said.
        parser: Owns the weights that the network refers to; None where the network was not parsed.
    """

    library: TensorRTLibrary
    typed: bool
    builder: Any
    network: Any
    logger: Any
    parser: Any = None


def is_typed(library: TensorRTLibrary, config: EngineConfig) -> bool:
    """Whether the network is to be strongly typed.

    Raises:
        ModelError: The untyped regime is asked of a TensorRT that no longer has it.
    """
    if config.regime == "untyped" and library.typed_only:
        raise ModelError(f"{library.title} has no untyped networks", "use the regime typed and the s8f16 graph")
    return library.typed_only or config.regime == "typed"


def parse_network(library: TensorRTLibrary, graph: bytes, config: EngineConfig) -> ParsedNetwork:
    """Parses an ONNX file.

    Args:
        library: Which TensorRT.
        graph: The file, its weights inside.
        config: Decides the regime.

    Raises:
        ParserError: TensorRT does not take the graph; the message names the layers.
        ModelError: The file is no ONNX, or the regime is not to be had.
    """
    typed, trt = is_typed(library, config), library.trt
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_creation_flags(library, typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        raise ParserError(library.title, problems_of(parser, logger))
    if not network.num_layers:
        raise ModelError(f"{library.title} finds no layer in the graph", "pass an ONNX file that holds a model")
    return ParsedNetwork(library, typed, builder, network, logger, parser)


def _creation_flags(library: TensorRTLibrary, typed: bool) -> int:
    # TensorRT-RTX knows the flag but takes every network as typed.
    return 1 << int(library.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if typed and not library.is_rtx else 0


def problems_of(parser: Any, logger: Any) -> tuple[ParserProblem, ...]:
    """What the parser and the logger say against the graph, each node once."""
    found: dict[ParserProblem, None] = {}
    for index in range(parser.num_errors):
        found[_problem(parser.get_error(index))] = None
    said = logger.take_errors()
    if not found:
        found[ParserProblem("the file", "", _tidied(said[0]) if said else "it cannot be read")] = None
    return tuple(found)


def _problem(error: Any) -> ParserProblem:
    if error.node() < 0 and not error.node_name():
        return ParserProblem("the graph", "", _tidied(error.desc()))
    layer = error.node_name() or f"node {error.node()}"
    return ParserProblem(layer, error.node_operator() or "unknown operator", _tidied(error.desc()))


def _tidied(message: str) -> str:
    """The parser's words without its own source positions and conditions."""
    text = re.sub(r"^(?:In node .*?)?\(\w+\): [A-Z_]+: ", "", message.strip()).removeprefix("Assertion failed: ")
    quoted = re.search(r'&& "(.+)"', text)
    condition, _, told = text.partition(": ")
    if quoted:
        text = quoted[1]
    elif told and re.search(r"[(&=<>!]", condition):
        text = told
    elif text in ("", "false"):
        text = "the parser has no importer for this operator"
    return first_line(RuntimeError(text))
