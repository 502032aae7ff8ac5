"""The plan that a run searched or followed, as files beside its report: to read, to edit by hand, to replay."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import yaml

from edge.compress.precision_plan import load_plan
from edge.compress.stages.stage import QuantizeStage
from edge.report.precision_table import precision_tables
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from edge.compress.precision_plan import PrecisionPlan
    from edge.compress.recipe import Stage
    from edge.project import Project
    from edge.report.contents import Report

logger = logging.getLogger(__name__)
OLD_PLAN = "plan.old.yaml"
PLAN, SENSITIVITY, REPLAY = "plan.yaml", "sensitivity.json", "replay.yaml"


def write_plan_files(report: Report, project: Project, out: Path) -> bool:
    """Writes `plan.yaml`, `replay.yaml` that quantizes by it, and `sensitivity.json` where a search measured it.

    Args:
        report: Of the run; the last stage that went by a plan counts.
        project: That was run.
        out: Folder. A `plan.yaml` that says the same is left as it is, with its comments; one that says something
            else becomes `plan.old.yaml`. Sensitivities of an earlier run stay until a search measures them anew.

    Returns:
        Whether there was a plan.
    """
    planned = next((s.precision for s in reversed(report.stages) if s.precision is not None), None)
    if planned is None:
        return False
    _write_plan(planned.made.plan, out)
    _write_replay(project, out)
    if planned.sensitivity is not None:
        planned.sensitivity.save(out / SENSITIVITY)
    return True


def print_plans(console: Console, report: Report, out: Path) -> None:
    """What layers compute in and why, where a stage went by a plan, and how that is edited and replayed."""
    planned = [(stage.name, stage.precision) for stage in report.stages if stage.precision is not None]
    for name, precision in planned:
        for table in precision_tables(precision, name):
            console.print(table)
    if planned:
        replay = f"edge compress CHECKPOINT --recipe {out / REPLAY} --out {out}"
        console.print(f"Plan: {out / PLAN}. Edit it, then: {replay}", highlight=False, soft_wrap=True)


def _write_plan(plan: PrecisionPlan, out: Path) -> None:
    path = out / PLAN
    if path.exists():
        if _says(path) == plan:
            return
        path.replace(out / OLD_PLAN)
        logger.warning("%s held another plan, which is now %s", path, OLD_PLAN)
    plan.save(path)


def _says(path: Path) -> PrecisionPlan | None:
    try:
        return load_plan(path)
    except ConfigError:
        return None


def _write_replay(project: Project, out: Path) -> None:
    """The whole project, as a bundle's `recipe.yaml` is: the student's widths belong to a replay."""
    stages = tuple(_by_plan(stage) for stage in project.recipe.stages)
    recipe = project.recipe.model_copy(update={"stages": stages})
    content = project.model_copy(update={"recipe": recipe}).model_dump(mode="json", by_alias=True)
    for stage in content["recipe"]["stages"]:
        if stage["stage"] == "quantize":
            stage["plan"] = str((out / PLAN).resolve())
    with atomic_file(out / REPLAY) as partial:
        head = f"# What was run, with the plan of {PLAN} in place of a search: edit that file, then run this recipe.\n"
        partial.write_text(head + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _by_plan(stage: Stage) -> Stage:
    """Without what a plan says instead: the layers that were kept wider are among its own."""
    if not isinstance(stage, QuantizeStage):
        return stage
    quantize = stage.quantize.model_copy(update={"keep_float": (), "keep_fp32": ()})
    return stage.model_copy(update={"search": None, "quantize": quantize})
