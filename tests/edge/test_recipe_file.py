"""A recipe for a project comes from a list of stages, or from a bundle, which brings the student's widths along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from edge.project import Project, load_project, preset_path
from edge.recipe_file import with_recipe
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(preset_path("street_demo"))


def recorded(project: Project, path: Path, **changes: Any) -> Path:
    """As a bundle holds it."""
    content = {**project.model_dump(mode="json", by_alias=True), **changes}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_a_bundles_recipe_is_the_whole_project_again(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert with_recipe(project, recorded(project, tmp_path / "recipe.yaml")) == project
    assert caplog.text == ""


def test_stages_and_widths_of_the_student_are_the_bundles(project: Project, tmp_path: Path) -> None:
    student = project.student.model_dump(mode="json") | {"fusion": {"channels": 40}}
    stages = {"stages": [{"stage": "distill", "name": "small"}]}
    path = recorded(project, tmp_path / "recipe.yaml", student=student, recipe=stages)
    replayed = with_recipe(project, path)
    assert [s.name for s in replayed.recipe.stages] == ["small"]
    assert replayed.student.fusion.channels == 40
    assert replayed.teacher == project.teacher


def test_a_list_of_stages_leaves_the_student_alone(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"stages": [{"stage": "quantize"}]}))
    changed = with_recipe(project, path)
    assert [s.stage for s in changed.recipe.stages] == ["quantize"]
    assert changed.student == project.student


def test_what_makes_it_no_replay_is_logged(project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = project.train.model_dump(mode="json") | {"epochs": 99}
    with_recipe(project, recorded(project, tmp_path / "recipe.yaml", train=train))
    assert "this is no replay" in caplog.text and "train.epochs was 99, is 6" in caplog.text


def test_a_recipe_of_a_model_with_other_tensors_is_refused(project: Project, tmp_path: Path) -> None:
    io = project.model_dump(mode="json", by_alias=True)["io"]
    io["outputs"] = io["outputs"][:1]
    with pytest.raises(ConfigError, match=r"other tensors \(outputs changed\)"):
        with_recipe(project, recorded(project, tmp_path / "recipe.yaml", io=io))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"recipe": {"stages": [{"stage": "prune", "gate": {"max_lose": 1}}]}}, r"stage 1 \('prune'\) has no key"),
        ({"teacher": {}}, r"recipe\.yaml: teacher"),
    ],
)
def test_a_mistake_is_named(project: Project, tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        with_recipe(project, recorded(project, tmp_path / "recipe.yaml", **changes))
