"""Steps that look at the graph alone: valid ONNX, run by ONNX Runtime, operators by the table, kernels."""

from __future__ import annotations

import dataclasses
import platform
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import helper

from edge.compile.check.graph_steps import (
    check_graphs,
    check_kernels,
    check_operators,
    precision_verdict,
    run_graphs,
)
from edge.compile.check.step import run_step
from edge.compile.check.target import open_target
from edge.compile.precision.layer_precision import LayerPrecision, PrecisionReport
from edge.compress.precision_plan import PrecisionPlan
from edge.runtime.errors import ModelError
from tests.edge.compile.check.subjects import INT8, odd_graph, one_node, subject, with_opset
from tests.edge.compile.precision.pair_graphs import PairGraph, convolution

if TYPE_CHECKING:
    from edge.compile.check.subject import Subject, SubjectKind

ORIN, CPU = open_target("orin-nano-8gb"), open_target("x86-cpu")
FLOATS = {"activation": False, "weight": False}


def test_every_dialect_is_checked() -> None:
    step = check_graphs(subject(s8=convolution(), fp32=convolution(**FLOATS)))
    assert (step.status, step.detail) == ("passed", "valid ONNX: s8, fp32, opset 18")


def test_newer_opsets_are_noted() -> None:
    step = check_graphs(subject(s8=convolution(), fp32=with_opset(convolution(**FLOATS), 21)))
    assert step.status == "noted"
    assert "fp32 has opset 21, written and tested is 18" in step.detail


@pytest.mark.parametrize(("kind", "remedy"), [("onnx", "export it again"), ("bundle", "report it")])
def test_an_invalid_graph_is_named_with_who_can_mend_it(kind: SubjectKind, remedy: str) -> None:
    broken = convolution()
    broken.graph.node[-1].input[0] = "nowhere"
    given = dataclasses.replace(subject(fp32=convolution(**FLOATS), s8=broken), kind=kind)
    step = run_step("ONNX", lambda: check_graphs(given))
    assert (step.status, step.detail.startswith("s8: the exported graph is not valid ONNX")) == ("failed", True)
    assert step.remedy.startswith(remedy)


def test_onnx_runtime_runs_every_dialect() -> None:
    step = run_graphs(subject(s8=convolution(), fp32=convolution(**FLOATS)))
    assert (step.status, step.detail) == ("passed", "ONNX Runtime runs s8, fp32")


def test_nan_on_zeros_is_no_verdict() -> None:
    step = run_graphs(subject(s8=convolution(), fp32=one_node("Log")))
    assert (step.status, step.detail) == (
        "noted",
        "ONNX Runtime runs s8, fp32; on zeros fp32 gives NaN or infinity",
    )


def test_what_onnx_runtime_refuses_is_named() -> None:
    foreign = one_node("Relu")
    foreign.graph.node[0].domain = "my.company"
    foreign.opset_import.append(helper.make_opsetid("my.company", 1))
    with pytest.raises(ModelError, match="fp32: ONNX Runtime refuses the graph"):
        run_graphs(subject(fp32=foreign))


def typed_input(element: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"], "same")],
        "typed",
        [helper.make_tensor_value_info("x", element, ("batch", 2))],
        [helper.make_tensor_value_info("y", element, ("batch", 2))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("element", ["FLOAT", "FLOAT16", "UINT8", "INT64", "BOOL", "STRING", "DOUBLE"])
def test_inputs_of_every_type_and_open_shape_are_fed(element: str) -> None:
    model = typed_input(onnx.TensorProto.DataType.Value(element))
    assert run_graphs(subject(fp32=model)).status == "passed"


def test_an_input_that_is_no_tensor_is_named() -> None:
    model = one_node("Relu")
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, (1,)))
    model.graph.input[0].type.CopyFrom(kind)
    with pytest.raises(ModelError, match="input 'x' is no tensor"):
        run_graphs(subject(fp32=model))


def test_operators_are_looked_up_for_the_targets_own_version() -> None:
    good = check_operators(subject(), ORIN)
    assert (good.status, good.detail) == ("passed", "TensorRT 10.3.0's parser takes every node of s8")
    bad = check_operators(subject(fp32=odd_graph()), ORIN)
    assert bad.detail == "TensorRT 10.3.0's parser does not take 2 nodes of fp32"
    assert [(f.layer, f.operator) for f in bad.findings] == [("head.det", "Det"), ("head.not", "BitwiseNot")]


def test_a_version_without_a_table_says_whose_was_used() -> None:
    between = dataclasses.replace(ORIN, tensorrt="10.2.0")
    assert check_operators(subject(), between).detail.endswith("(by the table of 10.1)")
    long = dataclasses.replace(ORIN, tensorrt="10.10.0")  # begins like 10.1, and is not
    assert "(by the table of 10." in check_operators(subject(), long).detail


def test_an_opset_beyond_what_the_parser_documents_is_said() -> None:
    older = open_target("orin-nano-8gb", "6.0")
    assert check_operators(subject(), older).detail.endswith("; opset 18 is beyond the 17 that it documents")
    assert "opset" not in check_operators(subject(), ORIN).detail


def test_a_cpu_has_no_parser() -> None:
    assert check_operators(subject(), CPU).status == "noted"


def on(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)


def integer() -> Subject:
    """Quantized as x86 wants it: U8 activations, and a QuantizeLinear behind the layer."""
    import numpy as np

    made = PairGraph()
    stem = made.add("Conv", [made.quantized("x", np.uint8), made.int8_weight("w", 8, 4, 3, 3)], "c", "stem")
    made.add("Identity", [made.quantized(stem, np.uint8)], "y")
    return subject(u8=made.model("y"), s8=convolution())


def test_kernels_are_proved_where_the_target_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    on("x86_64", monkeypatch)
    step = check_kernels(integer(), CPU)
    assert step.status == "passed"
    assert step.detail.startswith("proved by ONNX Runtime") and "100.0% int8 of the MACs" in step.detail
    step = check_kernels(subject(fp32=convolution(**FLOATS)), CPU)
    assert [str(f) for f in step.findings] == ["stem: fp32, planned int8, it runs in Conv"]


def test_kernels_are_not_looked_at_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    on("aarch64", monkeypatch)
    assert "run this on x86_64" in check_kernels(integer(), CPU).detail
    on("x86_64", monkeypatch)
    assert "run this on aarch64" in check_kernels(integer(), open_target("arm-cpu")).detail
    assert check_kernels(integer(), ORIN).detail == "they are ONNX Runtime's, and the target runs TensorRT"


def precision(*layers: tuple[str, str]) -> PrecisionReport:
    found = [LayerPrecision.model_validate({"name": n, "macs": 10, "precision": p}) for n, p in layers]
    return PrecisionReport(evidence="proved", source="a compiler", layers=tuple(found))


def test_precision_is_told_in_shares() -> None:
    step = precision_verdict(precision(("a", "int8"), ("b", "int8"), ("c", "fp32")), PrecisionPlan())
    assert (step.status, step.detail) == ("passed", "proved by a compiler: 66.7% int8, 33.3% fp32 of the MACs")
    assert precision_verdict(precision(), INT8).detail == "proved by a compiler: nothing multiplies matrices"


def test_what_nothing_could_be_told_of_passes_no_check() -> None:
    assert precision_verdict(precision(("a", "int8"), ("b", "unknown")), INT8).status == "noted"
    assert precision_verdict(precision(("a", "fp32"), ("b", "unknown")), INT8).status == "failed"
