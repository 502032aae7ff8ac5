"""A recipe for a project: a list of stages, or the project that a bundle recorded, which replays that bundle."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.compress.provenance import first_change
from edge.compress.recipe import load_recipe
from edge.project import Project
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


def with_recipe(project: Project, path: Path) -> Project:
    """The project with another recipe.

    A bundle's `recipe.yaml` holds the whole project that made it: the student's widths are taken from it as well, so
    that the same checkpoint and data give the same graphs. What else differs makes it no replay, and is logged.

    Raises:
        ConfigError: The file is wrong, or its tensors are not those of `project`.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or "recipe" not in content:
        return project.model_copy(update={"recipe": load_recipe(path)})
    recipe = load_recipe(path)  # whose messages name the stage
    recorded = validated(Project, content, path)
    theirs, ours = (p.model_dump(mode="json", by_alias=True) for p in (recorded, project))
    if recorded.io != project.io:
        raise ConfigError(
            f"{path} is of a model with other tensors ({first_change(theirs['io'], ours['io'])})",
            "replay it on the checkpoint that it was made from, or pass a file with `stages` alone",
        )
    for part in ("teacher", "train", "data"):
        change = first_change(theirs[part], ours[part])
        if change is not None:
            logger.warning("this is no replay of %s: %s.%s (the checkpoint's)", path, part, change)
    return project.model_copy(update={"recipe": recipe, "student": recorded.student})
