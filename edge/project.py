"""A project: data, model, training and recipe in one YAML file; what `edge train` and `edge compress` run."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.compress.fitting import FitConfig
from edge.compress.recipe import Recipe, Stage
from edge.compress.stages.stage import QuantizeStage
from edge.models.fusion_model import FusionModelConfig
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO
from edge.runtime.simulate.street import StreetConfig


class StreetData(BaseModel):
    """Samples drawn from the street simulator; every sample is a street of its own.

    Attributes:
        train: Samples of the training split; `validation` and `test` alike.
        seed: First street's seed; the splits never share a street.
        street: Densities, weather, hard cases.
        workers: Processes that draw; the samples do not depend on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["street"] = "street"
    train: int = Field(3000, ge=1)
    validation: int = Field(400, ge=1)
    test: int = Field(800, ge=1)
    seed: int = 0
    street: StreetConfig = StreetConfig()
    workers: int = Field(2, ge=1)

    @property
    def samples(self) -> int:
        """Samples in all splits."""
        return self.train + self.validation + self.test


class FolderData(BaseModel):
    """A prepared dataset folder (`edge.data.dataset_folder`), and the rig that its samples were taken with.

    Relative paths are against the project file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["folder"] = "folder"
    path: Path
    rig: Path


class Project(BaseModel):
    """The whole of a project file.

    Attributes:
        name: Of the bundle.
        io: Tensors in and out.
        data: Where samples come from.
        teacher: Widths of the large model.
        student: Widths of the small one.
        train: How the teacher is trained.
        recipe: The stages that follow.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    io: ModelIO
    data: Annotated[StreetData | FolderData, Field(discriminator="kind")]
    teacher: FusionModelConfig
    student: FusionModelConfig
    train: FitConfig = FitConfig()
    recipe: Recipe


def load_project(path: Path) -> Project:
    """Reads a project file; `base: OTHER.yaml` in it names a file whose keys it overrides.

    Raises:
        ConfigError: A file is missing or no YAML, or a key is unknown or wrong; the message names it.
    """
    project = validated(Project, _read_merged(path), path)
    return _resolve_paths(project, path.parent)


def find_project(name: Path) -> Project:
    """Loads a project file, or the preset of that name where no such file exists.

    Raises:
        ConfigError: There is neither, or the file is wrong.
    """
    return load_project(name if name.is_file() or name.suffix else preset_path(name.name))


def with_seed(project: Project, seed: int) -> Project:
    """The same project with other random numbers everywhere: data, initial weights, shuffling, calibration."""
    data = project.data
    if isinstance(data, StreetData):
        data = data.model_copy(update={"seed": data.seed + seed})
    train = project.train.model_copy(update={"seed": project.train.seed + seed})
    stages = tuple(_stage_with_seed(stage, seed) for stage in project.recipe.stages)
    recipe = project.recipe.model_copy(update={"stages": stages})
    return project.model_copy(update={"data": data, "train": train, "recipe": recipe})


def preset_path(name: str) -> Path:
    """A project file that ships with the package.

    Raises:
        ConfigError: There is none of that name.
    """
    folder = Path(str(files("edge") / "presets"))
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        raise ConfigError(f"there is no preset '{name}'", f"choose one of {', '.join(known)}")
    return path


def _read_merged(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no mapping", "start from a preset, e.g. edge/presets/street_demo.yaml")
    base = content.pop("base", None)
    return content if base is None else _overlay(_read_merged(path.parent / str(base)), content)


def _overlay(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged


def _stage_with_seed(stage: Stage, seed: int) -> Stage:
    if isinstance(stage, QuantizeStage):
        return stage.model_copy(update={"seed": stage.seed + seed})
    return stage.model_copy(update={"fit": stage.fit.model_copy(update={"seed": stage.fit.seed + seed})})


def _resolve_paths(project: Project, folder: Path) -> Project:
    if not isinstance(project.data, FolderData):
        return project
    data = project.data.model_copy(
        update={"path": (folder / project.data.path).resolve(), "rig": (folder / project.data.rig).resolve()}
    )
    return project.model_copy(update={"data": data})
