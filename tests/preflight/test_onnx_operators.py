"""The newest operator table beside a real parser: they agree on every operator, and on the rules that they can show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import pytest

from edge.compile.operators.table import known_versions, parser_operators
from tests.edge.compile.operators.samples import SAMPLES, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.preflight
trt = pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX: requirements/preflight.txt")

NEWER = "came with a parser newer than the newest table"
PLUGIN = "the parser makes it of a plugin, and TensorRT-RTX has no library of plugins"
# What TensorRT-RTX's parser takes and the newest table does not, and the other way round.
MORE = {"CausalConvWithState": NEWER, "LinearAttention": NEWER}
FEWER = {"DeformConv": PLUGIN}


class _Quiet(trt.ILogger):  # type: ignore[misc, name-defined]
    """Drops what the parser says of graphs that it refuses on purpose."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)

    def log(self, severity: Any, message: str) -> None:
        pass


@pytest.fixture(scope="module")
def new_parser() -> Callable[[], Any]:
    """Makes a parser of a network of its own; needs no GPU."""
    builder = trt.Builder(_LOGGER)

    def make() -> Any:
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, _LOGGER)
        _KEPT.append((builder, network))  # a parser does not hold them itself
        return parser

    return make


_LOGGER = _Quiet()
_KEPT: list[Any] = []


def test_the_newest_table_and_the_parser_agree_on_every_operator_of_onnx(new_parser: Callable[[], Any]) -> None:
    parser, facts = new_parser(), parser_operators(known_versions()[-1])
    operators = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    taken = {name for name in operators if parser.supports_operator(name)}
    assert taken - facts.operators == MORE.keys() & operators
    assert facts.operators & operators - taken == FEWER.keys()


def test_the_table_and_the_parser_agree_on_the_parsers_own_operators(new_parser: Callable[[], Any]) -> None:
    parser, facts = new_parser(), parser_operators(known_versions()[-1])
    assert {name for name in facts.custom if not parser.supports_operator(name)} == set()
    assert all(parser.supports_operator(name) for name in facts.microsoft)


@pytest.mark.parametrize("domain", ["ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"])
def test_the_parser_takes_nothing_of_onnx_other_domains(new_parser: Callable[[], Any], domain: str) -> None:
    parser = new_parser()
    operators = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == domain}
    assert operators
    assert {name for name in operators if parser.supports_operator(name)} == set()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_parser_takes_one_graph_of_a_rule_and_refuses_the_other(
    new_parser: Callable[[], Any], sample: Sample
) -> None:
    taken, refused = (new_parser().parse(graph.SerializeToString()) for graph in (sample.taken, sample.refused))
    assert (taken and not refused) == (not sample.parser), sample.parser or "the parser and the rule differ"
