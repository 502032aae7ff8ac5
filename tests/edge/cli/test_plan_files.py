"""Files of a plan beside the report: they say what was run, replay it, and what was edited by hand is not lost."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from edge.cli.plan_files import print_plans, write_plan_files
from edge.compress.precision_plan import load_plan
from edge.compress.recipe import Recipe
from edge.compress.sensitivity.report import load_sensitivity
from edge.compress.stages.stage import QuantizeStage
from edge.project import load_project, preset_path
from edge.recipe_file import with_recipe
from edge.report import Report
from edge.runtime.environment import describe_host
from tests.edge.detailed_stages import made, search_notes

if TYPE_CHECKING:
    from pathlib import Path

    from edge.project import Project

GIVEN = {"plan": {"rules": [{"layers": "*", "precision": "int8"}], "products": "fp32"}, "precisions": {"net.1": "int8"}}


def report(**notes: Any) -> Report:
    stages = made("teacher", {}), made("quantize", notes)
    return Report(title="x", stages=stages, environment=describe_host())


def project(**settings: Any) -> Project:
    stages = [{"stage": "distill"}, {"stage": "quantize", "samples": 7, **settings}]
    recipe = Recipe.model_validate({"stages": stages})
    return load_project(preset_path("street_demo")).model_copy(update={"recipe": recipe})


def searching() -> Project:
    quantize = {"keep_float": ["heads"], "keep_fp32": ["heads"], "observer": "mse"}
    return project(search={"table": "table.yaml"}, quantize=quantize)


def test_a_searched_plan_replays_from_its_files(tmp_path: Path) -> None:
    searched = report(**search_notes())
    assert write_plan_files(searched, searching(), tmp_path)
    precision = searched.stages[-1].precision
    assert precision is not None
    assert load_plan(tmp_path / "plan.yaml") == precision.made.plan
    assert load_sensitivity(tmp_path / "sensitivity.json") == precision.sensitivity
    replayed = with_recipe(searching(), tmp_path / "replay.yaml")
    first, last = replayed.recipe.stages
    assert first == searching().recipe.stages[0]
    assert isinstance(last, QuantizeStage) and last.search is None
    assert last.plan == precision.made.plan
    assert (last.samples, last.quantize.observer, last.quantize.keep_float) == (7, "mse", ())


def test_a_line_that_was_edited_is_what_a_replay_reads(tmp_path: Path) -> None:
    write_plan_files(report(**search_notes()), searching(), tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text(path.read_text().replace("- {layers: '*', precision: int8}", "- {layers: '*', precision: fp16}"))
    last = with_recipe(searching(), tmp_path / "replay.yaml").recipe.stages[-1]
    assert isinstance(last, QuantizeStage) and last.plan is not None
    assert last.plan.of("anything") == "fp16"


def test_comments_stay_where_the_plan_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("# mine\nrules:\n- {layers: '*', precision: int8}\n")
    before = path.read_bytes()
    write_plan_files(report(precision_plan=GIVEN), project(plan=GIVEN["plan"]), tmp_path)
    assert path.read_bytes() == before
    assert not (tmp_path / "sensitivity.json").exists()


@pytest.mark.parametrize("found", ["rules:\n- {layers: head, precision: fp16}\n", "rules: {"])
def test_another_plan_is_put_aside_and_not_lost(found: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "plan.yaml").write_text(found)
    write_plan_files(report(precision_plan=GIVEN), project(plan=GIVEN["plan"]), tmp_path)
    assert (tmp_path / "plan.old.yaml").read_text() == found
    assert load_plan(tmp_path / "plan.yaml").of("head") == "int8"
    assert "plan.old.yaml" in caplog.text


def test_without_a_plan_there_are_no_files(tmp_path: Path) -> None:
    assert not write_plan_files(report(), project(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert printed(report(), tmp_path) == ""


def test_the_tables_come_with_the_command_that_replays(tmp_path: Path) -> None:
    text = printed(report(**search_notes()), tmp_path)
    assert "What INT8 alone does to parts of 'quantize'" in text and "The plan of 'quantize'" in text
    assert f"edge compress CHECKPOINT --recipe {tmp_path / 'replay.yaml'} --out {tmp_path}" in text
    given = " ".join(printed(report(precision_plan=GIVEN), tmp_path).split())
    assert "What 'quantize' computes in" in given and "nats" not in given


def printed(shown: Report, out: Path) -> str:
    console = Console(width=140, record=True, force_terminal=False, file=StringIO())
    print_plans(console, shown, out)
    return console.export_text()
