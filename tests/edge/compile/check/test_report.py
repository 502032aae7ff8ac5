"""Steps and their verdicts: what fails a check, what is told of it, and what is said once."""

from __future__ import annotations

import json

import pytest

from edge.compile.check.report import NAMED, CheckReport, CheckStep, Finding
from edge.compile.check.step import counted, run_step, skipped, verdict
from edge.compile.tensorrt.network import ParserError, ParserProblem
from edge.runtime.errors import EdgeError, GateError, MissingDependencyError, ModelError


def report(*steps: CheckStep) -> CheckReport:
    return CheckReport(
        schema=1, subject="street", kind="bundle", target="orin", jetpack="6.2", tensorrt="10.3.0", steps=steps
    )


def step(name: str, status: str = "failed", detail: str = "bad", remedy: str = "", findings: int = 0) -> CheckStep:
    found = [Finding(layer=f"layer.{i}", operator="Det", message="no importer") for i in range(findings)]
    return CheckStep.model_validate(
        {"name": name, "status": status, "detail": detail, "remedy": remedy, "findings": found}
    )


def refusal(made: CheckReport, *, strict: bool = False) -> GateError:
    with pytest.raises(GateError) as refused:
        made.demand(strict)
    assert refused.value.exit_code == 3
    return refused.value


def test_what_passed_or_is_noted_fails_nothing() -> None:
    good = report(step("a", "passed"), step("b", "noted"))
    good.demand(strict=True)
    assert (good.failed, good.unchecked, good.remedies) == ((), (), {})


def test_what_was_not_checked_fails_only_when_asked() -> None:
    made = report(step("parser", "not checked"), step("build", "not checked"), step("a", "passed"))
    made.demand(strict=False)
    assert refusal(made, strict=True).problem == "street is not ready for orin: not checked here: parser, build"


def test_a_failed_step_is_told_with_its_detail_or_its_layers() -> None:
    made = report(step("memory", detail="no shape"), step("one", findings=1), step("two", findings=2))
    assert refusal(made).problem == (
        "street is not ready for orin: memory: no shape; one: layer.0 (Det): no importer; two: layer.0 (Det), "
        "layer.1 (Det)"
    )
    assert refusal(made, strict=True).problem == refusal(made).problem


def test_many_layers_are_counted() -> None:
    told = refusal(report(step("two", findings=NAMED + 3))).problem
    assert told.count("(Det)") == NAMED
    assert told.endswith(" and 3 more")


def test_a_remedy_is_said_once_for_all_steps_that_it_helps() -> None:
    made = report(
        step("a", "not checked", remedy="install it"),
        step("b", remedy="export again"),
        step("c", "not checked", remedy="install it"),
        step("d", "passed", remedy="never told"),
        step("e"),
    )
    assert made.remedies == {"export again": ("b",), "install it": ("a", "c")}
    assert [made.count(status) for status in ("passed", "failed", "noted", "not checked")] == [1, 2, 0, 2]


def test_json_has_all_of_it_under_its_schema() -> None:
    made = report(step("two", findings=2, remedy="export again"))
    told = json.loads(made.model_dump_json(by_alias=True))
    assert told["schema"] == 1
    assert told["steps"][0]["remedy"] == "export again"
    assert [f["layer"] for f in told["steps"][0]["findings"]] == ["layer.0", "layer.1"]
    assert CheckReport.model_validate(told) == made


def test_a_finding_is_told_with_and_without_operator() -> None:
    assert str(Finding(layer="stem", operator="Conv", message="wide")) == "stem (Conv): wide"
    assert str(Finding(layer="stem", message="wide")) == "stem: wide"


def test_findings_fail_a_step_unless_it_only_notes_them() -> None:
    found = [Finding(layer="a", message="b")]
    assert verdict("fine").status == "passed"
    assert verdict("bad", found).status == "failed"
    assert verdict("told", found, status="noted").status == "noted"
    assert verdict("fine", number=3).facts == {"number": 3}
    assert skipped("of no use").status == "noted"


@pytest.mark.parametrize(("count", "told"), [(0, "0 layers"), (1, "1 layer"), (2, "2 layers")])
def test_things_are_counted_in_words(count: int, told: str) -> None:
    assert counted(count, "layer") == told


def raising(error: BaseException) -> CheckStep:
    def work() -> CheckStep:
        raise error

    return run_step("a step", work)


def test_a_step_has_its_name() -> None:
    assert run_step("a step", lambda: verdict("fine")).name == "a step"


def test_a_missing_package_is_no_verdict() -> None:
    made = raising(MissingDependencyError("it is absent", "install it"))
    assert (made.name, made.status, made.detail, made.remedy) == ("a step", "not checked", "it is absent", "install it")


def test_our_errors_are_verdicts() -> None:
    for error in (ModelError("no shape", "export again"), EdgeError("no shape", "export again")):
        made = raising(error)
        assert (made.status, made.detail, made.remedy) == ("failed", "no shape", "export again")


def test_a_parser_names_its_layers() -> None:
    problems = (ParserProblem("head.det", "Det", "no importer"), ParserProblem("the graph", "", "no type"))
    made = raising(ParserError("TensorRT 10.3.0", problems))
    assert (made.status, made.detail) == ("failed", "TensorRT 10.3.0 does not take the graph")
    assert [str(finding) for finding in made.findings] == ["head.det (Det): no importer", "the graph: no type"]
    assert made.remedy


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("two\nlines"), AssertionError()])
def test_what_breaks_off_has_shown_nothing_and_fails(error: Exception) -> None:
    made = raising(error)
    assert made.status == "failed"
    assert type(error).__name__ in made.detail and "\n" not in made.detail
    assert "--debug" in made.remedy


def test_ctrl_c_is_no_verdict() -> None:
    with pytest.raises(KeyboardInterrupt):
        raising(KeyboardInterrupt())
