"""Networks from ONNX files: the regime by version, and a parser's refusal layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compile.tensorrt.network import NAMED_PROBLEMS, ParserError, parse_network
from edge.runtime.errors import ModelError
from tests.edge.compile.tensorrt import fake_network as fakes
from tests.edge.compile.tensorrt.fake_tensorrt import CreationFlag, fake_library, parsed_by

if TYPE_CHECKING:
    from typing import Any

    from edge.compile.tensorrt.library import TensorRTLibrary

STRONG = 1 << CreationFlag.STRONGLY_TYPED


@pytest.mark.parametrize(
    ("version", "regime", "typed", "flags"),
    [
        ("10.3.0", "auto", False, 0),
        ("10.3.0", "untyped", False, 0),
        ("10.3.0", "typed", True, STRONG),
        ("10.16.2", "auto", False, 0),
        ("11.4.0", "auto", True, STRONG),
        ("11.4.0", "typed", True, STRONG),
        ("1.7.1", "auto", True, 0),
        ("1.7.1", "typed", True, 0),
    ],
)
def test_the_regime_decides_how_a_network_is_made(version: str, regime: Any, typed: bool, flags: int) -> None:
    parsed = parsed_by(fake_library(version), regime=regime)
    assert (parsed.typed, parsed.network.flags) == (typed, flags)


@pytest.mark.parametrize("version", ["11.0.0", "1.7.1"])
def test_untyped_networks_are_gone_from_11_on(version: str) -> None:
    with pytest.raises(ModelError, match=r"has no untyped networks; use the regime typed and the s8f16 graph"):
        parsed_by(fake_library(version), regime="untyped")


def refuse(library: TensorRTLibrary, *errors: fakes.ParserError, says: list[str] | None = None) -> ParserError:
    library.trt.on_parse, library.trt.says = lambda _network, _graph: list(errors), says or []
    with pytest.raises(ParserError) as refused:
        parse_network(library, b"graph", EngineConfig())
    return refused.value


def test_each_node_that_the_parser_refuses_is_named_once(orin: TensorRTLibrary) -> None:
    unheard = fakes.ParserError("false", "head.det", "Det", 4)
    error = refuse(orin, unheard, fakes.ParserError("false", "neck.sort", "Unique", 5), unheard)
    assert [(p.layer, p.operator) for p in error.problems] == [("head.det", "Det"), ("neck.sort", "Unique")]
    assert error.title == "TensorRT 10.3.0"
    assert str(error) == (
        "TensorRT 10.3.0 does not take layer 'head.det' (Det): the parser has no importer for this operator; layer "
        "'neck.sort' (Unique): the parser has no importer for this operator; rewrite these layers with operators that "
        "it has"
    )


def test_many_refusals_are_counted(orin: TensorRTLibrary) -> None:
    error = refuse(orin, *(fakes.ParserError("false", f"layer.{i}", "Det", i) for i in range(NAMED_PROBLEMS + 3)))
    assert len(error.problems) == NAMED_PROBLEMS + 3
    assert str(error).count("(Det)") == NAMED_PROBLEMS
    assert " and 3 more;" in str(error)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Assertion failed: axis < rank: The axis is out of range.", "The axis is out of range."),
        (
            "Assertion failed: shiftIsAllZeros(zeroPoint): Non-zero zero point is not supported.",
            "Non-zero zero point is not supported.",
        ),
        (
            "Assertion failed: creator && isVersion(creator) == CreatorVersion::kV3ONE: NonZero was not found.",
            "NonZero was not found.",
        ),
        (
            'creator && "Plugin not found, are name and version correct?"',
            "Plugin not found, are name and version correct?",
        ),
        (
            'In node 3 with name: a and operator: Foo (checkImporter): INVALID_NODE: creator && "No plugin"',
            "No plugin",
        ),
        (
            "(deserializeOnnxModel): MODEL_DESERIALIZE_FAILED: Assertion failed: model->Parse(&coded): No ONNX model.",
            "No ONNX model.",
        ),
        ("Only 4D input: got 3D", "Only 4D input: got 3D"),
        ("first line\nsecond line", "first line"),
        ("false", "the parser has no importer for this operator"),
        ("", "the parser has no importer for this operator"),
    ],
)
def test_the_parsers_words_are_kept_without_its_conditions(orin: TensorRTLibrary, said: str, told: str) -> None:
    error = refuse(orin, fakes.ParserError(said, "stem", "Conv"))
    assert error.problems[0].message == told


def test_a_node_without_a_name_is_told_by_its_place(orin: TensorRTLibrary) -> None:
    error = refuse(orin, fakes.ParserError("x < y: wrong", "", "", 7))
    assert str(error.problems[0]) == "layer 'node 7' (unknown operator): wrong"


def test_a_problem_of_no_node_is_one_of_the_graph(orin: TensorRTLibrary) -> None:
    error = refuse(orin, fakes.ParserError("Assertion failed: ok: The type of input x is not supported.", "", "", -1))
    assert str(error.problems[0]).startswith("the graph: ")


def test_a_file_that_is_no_onnx_is_told_in_the_loggers_words(orin: TensorRTLibrary) -> None:
    assert str(refuse(orin, says=["Failed to parse the ONNX model."])).startswith(
        "TensorRT 10.3.0 does not take the file: Failed to parse the ONNX model."
    )
    assert "the file: it cannot be read" in str(refuse(orin))


def test_an_empty_network_is_refused(orin: TensorRTLibrary) -> None:
    orin.trt.on_parse = lambda _network, _graph: None
    with pytest.raises(ModelError, match="finds no layer in the graph"):
        parsed_by(orin)


def test_a_network_keeps_all_that_must_outlive_it(orin: TensorRTLibrary) -> None:
    parsed = parsed_by(orin)
    assert parsed.parser is not None and parsed.builder is not None
    assert parsed.logger.take_errors() == []
    assert parsed.network.num_layers == 1
