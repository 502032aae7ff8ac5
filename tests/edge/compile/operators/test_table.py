"""The operator tables: versions resolve, every rule passes one graph and names another, and nothing is looked past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from edge.compile.operators.table import known_versions, parser_operators, unsupported_layers
from edge.runtime.errors import ConfigError, ModelError
from tests.edge.compile.operators.samples import BOOL, FLOAT, IMAGE, INT64, SAMPLES, Sample, graph, model

if TYPE_CHECKING:
    from collections.abc import Sequence

UNARY = ("Abs", "Ceil", "Erf", "Exp", "Floor", "Neg", "Relu", "Sigmoid", "Softplus", "Sqrt", "Tanh")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("8.5", "8.5"),
        ("8.5.2", "8.5"),
        ("8.6.2", "8.6"),
        ("10.2", "10.1"),
        ("10.3.0", "10.3"),
        ("10.13.3", "10.13"),
        ("10.16.2.10", "10.16"),
        ("11.0", "10.16"),
        ("11.4.1", "11.1"),
        ("12.0", "11.1"),
    ],
)
def test_a_version_gets_the_nearest_known_one_at_or_below_it(asked: str, found: str) -> None:
    assert parser_operators(asked).version == found


def test_an_older_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"TensorRT 8\.2.*8\.5, 8\.6, 10\.0.*11\.1"):
        parser_operators("8.2.1")


@pytest.mark.parametrize("version", ["", "newest", "-1"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match="no version number"):
        parser_operators(version)


@pytest.mark.parametrize(
    ("operator", "first"),
    [
        ("Conv", "8.5"),
        ("LayerNormalization", "8.6"),
        ("Gelu", "10.0"),
        ("DeformConv", "10.1"),
        ("HannWindow", "10.4"),
        ("STFT", "10.5"),
        ("Attention", "10.14"),
        ("RMSNormalization", "10.15"),
        ("Swish", "11.1"),
    ],
)
def test_operators_came_with_a_version_and_stayed(operator: str, first: str) -> None:
    at = known_versions().index(first)
    assert [operator in parser_operators(v).operators for v in known_versions()] == [
        index >= at for index in range(len(known_versions()))
    ]


def test_every_rule_is_of_an_operator_that_some_parser_takes() -> None:
    every = parser_operators(known_versions()[-1]).operators
    rules = {rule for version in known_versions() for rule in parser_operators(version).rules}
    assert {name for rule in rules for name in rule.operators} <= every
    assert len(rules) >= 30


def test_onnx_knows_the_operators_by_the_same_names() -> None:
    schemas = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    # Operators that ONNX had before it was 1.0, as experiments.
    assert parser_operators("11.1").operators - schemas == {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}


def test_the_documented_opsets_of_the_boards() -> None:
    assert [parser_operators(v).opset[1] for v in ("8.5", "8.6", "10.3", "10.13", "10.16")] == [17, 17, 20, 22, 24]
    assert parser_operators("10.3").documents_opset(18)
    assert not parser_operators("8.6").documents_opset(18)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_rule_passes_one_graph_and_names_the_node_of_another(sample: Sample) -> None:
    version, elsewhere = sample.versions
    assert unsupported_layers(sample.taken, version) == ()
    found = [layer for layer in unsupported_layers(sample.refused, version) if layer.name == "case"]
    assert len(found) == 1
    assert sample.words in found[0].reason
    if elsewhere is not None:
        assert unsupported_layers(sample.refused, elsewhere) == ()


def test_every_rule_has_a_graph_that_breaks_it() -> None:
    asked = [(sample.refused, version) for sample in SAMPLES for version in sample.versions if version]
    met = {layer.reason for made, version in asked for layer in unsupported_layers(made, version)}
    rules = {rule for version in known_versions() for rule in parser_operators(version).rules}
    assert {rule.reason for rule in rules} <= met


def test_an_operator_that_the_parser_lacks_is_named_by_its_module() -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["d"], "heads.1.determinant"),
        helper.make_node("Unique", ["d"], ["y"]),
    ]
    found = unsupported_layers(model(nodes, {"x": (FLOAT, (4, 3, 3))}, {"y": (FLOAT, None)}), "10.3")
    assert [(layer.name, layer.operator) for layer in found] == [("heads.1.determinant", "Det"), ("y", "Unique")]
    assert all("TensorRT 10.3 has no such operator" in layer.reason for layer in found)


@pytest.mark.parametrize("operator", ["If", "Loop", "Scan"])
def test_subgraphs_are_walked(operator: str) -> None:
    found = unsupported_layers(_nested(operator), "10.16")
    part = {"If": "then_branch", "Loop": "body", "Scan": "body"}[operator]
    assert [(layer.name, layer.operator) for layer in found] == [(f"gate/{part}/inner", "Det")]


def test_a_subgraph_sees_the_constants_around_it() -> None:
    axes = onnx.numpy_helper.from_array(np.array([0], np.int64), "axes")
    inner = [helper.make_node("Unsqueeze", ["x", "axes"], ["yes"], "inner")]
    branch = helper.make_graph(inner, "then", [], [helper.make_tensor_value_info("yes", FLOAT, (1, *IMAGE))])
    other = helper.make_graph(
        [helper.make_node("Unsqueeze", ["x", "axes"], ["no"])],
        "else",
        [],
        [helper.make_tensor_value_info("no", FLOAT, (1, *IMAGE))],
    )
    node = helper.make_node("If", ["c"], ["y"], "gate", then_branch=branch, else_branch=other)
    made = model([node], {"x": (FLOAT, IMAGE), "c": (BOOL, ())}, {"y": (FLOAT, None)})
    made.graph.initializer.append(axes)
    assert unsupported_layers(made, "10.3") == ()


def test_axes_that_are_computed_from_fixed_shapes_are_constant() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "one"], ["first"]),
        helper.make_node("ReduceMax", ["x", "first"], ["y"], "reduce"),
    ]
    constants = {"zero": np.array([0], np.int64), "one": np.array([1], np.int64)}
    fixed = model(nodes, {"x": (FLOAT, IMAGE)}, {"y": (FLOAT, None)}, constants)
    assert unsupported_layers(fixed, "10.3") == ()
    dynamic = model(nodes, {"x": (FLOAT, ("batch", 4, 8, 8))}, {"y": (FLOAT, None)}, constants)
    assert [layer.name for layer in unsupported_layers(dynamic, "10.3")] == ["reduce"]


@pytest.mark.parametrize(
    ("domain", "operator", "words"),
    [
        ("my.company", "VoxelPool", "no operator of ONNX"),
        ("my.company", "Relu", "takes it for ONNX's Relu"),
        ("com.microsoft", "FusedMatMul", "no operator of ONNX"),
        ("com.microsoft", "LayerNormalization", "takes it for ONNX's LayerNormalization"),
        ("ai.onnx.ml", "Normalizer", "no operator of ONNX"),
    ],
)
def test_other_domains_are_named(domain: str, operator: str, words: str) -> None:
    found = unsupported_layers(graph(operator, ["x"], {"x": (FLOAT, IMAGE)}, domain=domain), "10.3")
    assert [(layer.name, layer.operator) for layer in found] == [("case", f"{domain}::{operator}")]
    assert words in found[0].reason


@pytest.mark.parametrize("domain", ["com.microsoft", "trt"])
def test_operators_of_other_domains_that_the_parser_means_are_taken(domain: str) -> None:
    name = "QuantizeLinear" if domain == "com.microsoft" else "TRT_INT4QuantizeLinear"
    constants = {"s": np.float32(0.1), "z": np.int8(0)}
    made = graph(name, ["x", "s", "z"], {"x": (FLOAT, IMAGE)}, constants, domain=domain)
    assert unsupported_layers(made, "10.3") == ()


def test_own_functions_are_looked_into() -> None:
    imports = [helper.make_opsetid("", 18)]
    body = [helper.make_node("Det", ["a"], ["b"], "inner")]
    function = helper.make_function("own", "Volume", ["a"], ["b"], body, imports)
    call = helper.make_node("Volume", ["x"], ["y"], "call", domain="own")
    made = model([call], {"x": (FLOAT, (4, 3, 3))}, {"y": (FLOAT, None)}, domains=["own"], functions=[function])
    assert [layer.name for layer in unsupported_layers(made, "10.3")] == ["call/inner"]
    assert [layer.name for layer in unsupported_layers(made, "8.6")] == ["call", "call/inner"]


def test_constants_in_files_of_their_own_are_taken_for_allowed() -> None:
    made = next(sample.refused for sample in SAMPLES if sample.name == "zero point 0")
    assert unsupported_layers(made, "10.3") != ()
    outside = onnx.ModelProto()
    outside.CopyFrom(made)
    for tensor in outside.graph.initializer:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
    assert unsupported_layers(outside, "10.3") == ()


def test_long_graphs_are_walked_to_their_end() -> None:
    assert unsupported_layers(_chain(["Relu"] * 3000), "10.3") == ()


def test_a_graph_that_contradicts_itself_is_refused() -> None:
    bad = graph("TopK", ["x", "k"], {"x": (FLOAT, IMAGE)}, {"k": np.array([1], np.int64)})  # it has two results
    with pytest.raises(ModelError, match=r"cannot be inferred .*onnx\.checker"):
        unsupported_layers(bad, "10.3")


@given(operators=st.lists(st.sampled_from(UNARY), min_size=1, max_size=12), version=st.sampled_from(known_versions()))
@settings(max_examples=40, deadline=None)
def test_a_graph_of_supported_operators_has_none(operators: Sequence[str], version: str) -> None:
    assert unsupported_layers(_chain(operators), version) == ()


@given(
    operators=st.lists(st.sampled_from(UNARY), min_size=1, max_size=8),
    at=st.integers(0, 8),
    version=st.sampled_from(known_versions()),
)
@settings(max_examples=40, deadline=None)
def test_one_unsupported_operator_among_others_is_the_one_that_is_named(
    operators: Sequence[str], at: int, version: str
) -> None:
    at = min(at, len(operators))
    found = unsupported_layers(_chain([*operators[:at], "Bernoulli", *operators[at:]]), version)
    assert [(layer.name, layer.operator) for layer in found] == [(f"layer.{at}", "Bernoulli")]


def _chain(operators: Sequence[str]) -> onnx.ModelProto:
    names = ["x", *(f"t{index}" for index in range(1, len(operators))), "y"]
    nodes = [
        helper.make_node(operator, [names[index]], [names[index + 1]], f"layer.{index}")
        for index, operator in enumerate(operators)
    ]
    return model(nodes, {"x": (FLOAT, IMAGE)}, {"y": (FLOAT, IMAGE)})


def _nested(operator: str) -> onnx.ModelProto:
    """A node of control flow around one whose operator no parser takes."""

    def body(name: str, op: str, given: dict[str, Any], kept: Sequence[str] = ()) -> onnx.GraphProto:
        nodes = [helper.make_node(op, ["m" if operator != "If" else "x"], [name], "inner")]
        nodes += [helper.make_node("Identity", [source], [result]) for source, result in (k.split(">") for k in kept)]
        infos = [helper.make_tensor_value_info(n, *kind) for n, kind in given.items()]
        kinds = {"go": (BOOL, ()), "next": (FLOAT, (4, 3, 3)), name: (FLOAT, (4,))}
        results = [*(k.split(">")[1] for k in kept), name]
        return helper.make_graph(
            nodes, name, infos, [helper.make_tensor_value_info(r, *kinds.get(r, (FLOAT, None))) for r in results]
        )

    given = {"x": (FLOAT, (4, 3, 3))}
    state = {"m": (FLOAT, (4, 3, 3))}
    if operator == "If":
        node = helper.make_node(
            "If", ["c"], ["y"], "gate", then_branch=body("yes", "Det", {}), else_branch=body("no", "ReduceMax", {})
        )
        return model([node], {**given, "c": (BOOL, ())}, {"y": (FLOAT, None)})
    if operator == "Loop":
        inner = body("d", "Det", {"i": (INT64, ()), "c_in": (BOOL, ()), **state}, ["c_in>go", "m>next"])
        node = helper.make_node("Loop", ["n", "", "x"], ["last", "y"], "gate", body=inner)
        return model([node], {**given, "n": (INT64, ())}, {"y": (FLOAT, None)})
    inner = body("d", "Det", {**state, "e": (FLOAT, ())}, ["m>next"])
    node = helper.make_node("Scan", ["x", "v"], ["last", "y"], "gate", body=inner, num_scan_inputs=1)
    return model([node], {**given, "v": (FLOAT, (5,))}, {"y": (FLOAT, None)})
