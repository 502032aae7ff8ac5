"""The whole check: every step in its order, none of which stops the next, and what the report says of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.check import examination
from edge.compile.check.examination import STAND_IN_NOTE, examine
from edge.compile.check.target import open_target
from edge.runtime.errors import GateError, ModelError
from tests.edge.compile.check.subjects import any_batch, odd_graph, subject
from tests.edge.compile.precision.pair_graphs import convolution

if TYPE_CHECKING:
    from edge.compile.check.report import CheckReport, CheckStep
    from edge.compile.tensorrt.library import TensorRTLibrary

STEPS = (
    *("versions", "ONNX", "ONNX Runtime", "operators", "TensorRT parser", "Torch-TensorRT coverage"),
    *("Torch-TensorRT engine", "engine build", "precision", "kernels", "2:4 sparsity", "DLA", "memory"),
)
ORIN = open_target("orin-nano-8gb")


def by_name(report: CheckReport) -> dict[str, CheckStep]:
    return {step.name: step for step in report.steps}


def statuses(report: CheckReport) -> dict[str, str]:
    return {step.name: step.status for step in report.steps}


def test_every_step_runs_in_its_order_and_is_announced(rtx: TensorRTLibrary) -> None:
    announced: list[str] = []
    report = examine(subject(), ORIN, on_step=announced.append)
    assert tuple(announced) == tuple(step.name for step in report.steps) == STEPS
    assert (report.subject, report.kind, report.target) == ("model", "bundle", "orin-nano-8gb")
    assert (report.jetpack, report.tensorrt) == ("6.2", "10.3.0")


def test_what_is_missing_here_is_not_checked_and_said_once(no_compiler: None) -> None:
    program: Any = "a program that nothing here looks into"
    report = examine(subject(program), ORIN)
    unchecked = ("TensorRT parser", "Torch-TensorRT coverage", "Torch-TensorRT engine", "engine build")
    assert tuple(step.name for step in report.unchecked) == unchecked
    ((remedy, names),) = report.remedies.items()
    assert names == unchecked
    assert "make preflight" in remedy
    assert by_name(report)["precision"].detail.startswith("declared by the ONNX graph")
    assert report.failed == ()
    report.demand(strict=False)
    with pytest.raises(GateError, match="not checked here: TensorRT parser, Torch-TensorRT coverage"):
        report.demand(strict=True)


def test_a_model_without_a_program_has_nothing_for_torch(rtx: TensorRTLibrary) -> None:
    report = examine(subject(), ORIN)
    for name in ("Torch-TensorRT coverage", "Torch-TensorRT engine"):
        assert (by_name(report)[name].status, "no torch program" in by_name(report)[name].detail) == ("noted", True)
    report.demand(strict=True)


def test_a_cpu_runs_onnx_runtime_and_nothing_of_tensorrt(no_compiler: None) -> None:
    report = examine(subject(), open_target("x86-cpu"))
    assert {step.name for step in report.steps if step.status != "noted"} <= {"ONNX", "ONNX Runtime", "kernels"}
    assert (report.tensorrt, report.precision, report.unchecked) == (None, None, ())


def test_a_step_that_fails_does_not_stop_the_next(no_compiler: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise ModelError("it is not valid", "export again")

    def break_off(*_: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(examination, "check_graphs", refuse)
    monkeypatch.setattr(examination, "check_operators", break_off)
    report = examine(subject(), ORIN)
    assert tuple(statuses(report)) == STEPS
    assert [step.name for step in report.failed] == ["ONNX", "operators"]
    assert statuses(report)["memory"] == "passed"
    with pytest.raises(GateError, match=r"ONNX: it is not valid; operators: the step itself broke off \(KeyError"):
        report.demand(strict=False)


def test_a_graph_with_several_faults_has_them_all_told(no_compiler: None) -> None:
    report = examine(subject(fp32=odd_graph(), s8=convolution(activation=False)), ORIN)
    assert [step.name for step in report.failed] == ["precision"]  # of the dialect that the board takes
    report = examine(subject(fp32=odd_graph()), ORIN)
    assert [step.name for step in report.failed] == ["operators", "precision"]
    assert [f.layer for f in by_name(report)["operators"].findings] == ["head.det", "head.not"]
    assert [f.layer for f in by_name(report)["precision"].findings] == ["stem"]


def test_shapes_that_are_not_fixed_fail_what_needs_them_alone(no_compiler: None) -> None:
    report = examine(subject(s8=any_batch()), ORIN)
    assert [step.name for step in report.failed] == ["precision", "memory"]
    assert "not fixed" in by_name(report)["memory"].detail
    assert "fixed shapes" in by_name(report)["memory"].remedy


def test_an_engine_for_a_stand_in_is_called_one(rtx: TensorRTLibrary) -> None:
    report = examine(subject(), ORIN)
    assert by_name(report)["engine build"].detail.endswith("; 8.6 stands in for 8.7")
    assert report.notes == (STAND_IN_NOTE,)
    own = examine(subject(), open_target("dgx-spark"))
    assert "stand" not in by_name(own)["engine build"].detail
    assert own.notes == ()


def test_no_engine_needs_no_note(rtx: TensorRTLibrary) -> None:
    rtx.trt.on_build = lambda _network, _config: None
    report = examine(subject(), ORIN)
    assert statuses(report)["engine build"] == "failed"
    assert report.notes == ()


def test_notes_of_the_subject_are_kept(no_compiler: None) -> None:
    noted = dataclasses.replace(subject(), notes=("No precision was planned.",))
    assert examine(noted, ORIN).notes == ("No precision was planned.",)


def test_the_precision_is_in_the_report(no_compiler: None) -> None:
    report = examine(subject(), ORIN)
    assert report.precision is not None
    assert report.precision.shares() == {"int8": 1.0}
    assert by_name(report)["precision"].facts == {"shares": {"int8": 1.0}}
